// Command kernels runs the tests on Debian's kernels, for several architectures and
// security modules, in virtual machines without KVM. boots.go has the table of boots.
// initramfs.sh packs the static test binaries with a kernel's modules and with init, which
// runs them as root. outcome.go judges what the serial console prints.
//
// virtme-ng would boot kernels with this machine's root. But it boots only this machine's
// architecture, takes three times as long, and requires all modules.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is the time after which a machine that hangs is stopped. It is long enough for
// correct code on a busy machine.
const patience = 3 * time.Hour

// machine describes how to emulate an architecture, and how to build for it.
type machine struct {
	qemu       []string
	parameters string // of the kernel
	cc         string
	tools      []string // each is a command, and the Debian packages that have it
}

var machines = map[string]machine{
	// The kernel counts the timer's interrupts for some milliseconds at boot, and panics if
	// there are too few. On a busy host the emulator sends them late. no_timer_check prevents
	// that.
	"amd64": {[]string{"qemu-system-x86_64", "-cpu", "max"}, "console=ttyS0 no_timer_check", "x86_64-linux-gnu-gcc",
		[]string{"qemu-system-x86_64 qemu-system-x86", "x86_64-linux-gnu-gcc gcc libc6-dev"}},
	"arm64": {[]string{"qemu-system-aarch64", "-M", "virt", "-cpu", "neoverse-n1"}, "console=ttyAMA0", "aarch64-linux-gnu-gcc",
		[]string{"qemu-system-aarch64 qemu-system-arm", "aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross"}},
	"s390x": {[]string{"qemu-system-s390x", "-cpu", "max"}, "console=ttysclp0", "s390x-linux-gnu-gcc",
		[]string{"qemu-system-s390x qemu-system-misc", "s390x-linux-gnu-gcc gcc-s390x-linux-gnu libc6-dev-s390x-cross"}},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("kernels: ")
	list := flag.Bool("list", false, "list the boots, and boot none")
	which := flag.String("boot", "", "boot only those whose line in -list matches `regexp`")
	run := flag.String("run", "", "run only the tests that match `regexp`")
	jobs := flag.Int("jobs", 2, "boot `n` machines at a time")
	flag.Parse()
	chosen, err := choose(*which)
	if err != nil {
		log.Fatal(err)
	}
	if *list {
		for _, b := range chosen {
			fmt.Println(b)
		}
		return
	}
	// SIGPIPE too, because the machines and our files must not stay if the reader is gone.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := bootAll(ctx, chosen, *run, *jobs); err != nil {
		log.Fatal(err)
	}
}

// choose returns the boots whose lines match which.
func choose(which string) (chosen []boot, err error) {
	pattern, err := regexp.Compile(which)
	if err != nil {
		return nil, err
	}
	for _, b := range boots {
		if pattern.MatchString(string(b)) {
			chosen = append(chosen, b)
		}
	}
	if chosen == nil {
		return nil, fmt.Errorf("no boot matches %q; -list prints them", which)
	}
	return chosen, nil
}

func bootAll(ctx context.Context, chosen []boot, run string, jobs int) error {
	tools := []string{"secilc secilc", "cpio cpio", "apt-get apt", "dpkg-deb dpkg", "tar tar"}
	for _, b := range chosen {
		tools = append(tools, machines[b.arch()].tools...)
	}
	slices.Sort(tools)
	if _, err := script(ctx, "./need.sh", slices.Compact(tools)...); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "peercred-kernels")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kernels := map[string]string{} // what initramfs.sh prints
	for _, b := range chosen {
		if which := b.which(); kernels[which] == "" {
			fmt.Printf("building the tests for Linux %s\n", which)
			initramfs, cc := filepath.Join(dir, which), machines[b.arch()].cc
			if kernels[which], err = script(ctx, "kernels/initramfs.sh", b.kernel(), b.arch(), cc, initramfs); err != nil {
				return err
			}
		}
	}
	var group sync.WaitGroup
	free, failed := make(chan struct{}, jobs), make([]string, len(chosen))
	for i, b := range chosen {
		free <- struct{}{}
		group.Go(func() {
			defer func() { <-free }()
			if !b.run(ctx, kernels[b.which()], filepath.Join(dir, b.which()), run) {
				failed[i] = b.name()
			}
		})
	}
	group.Wait()
	if failed = slices.DeleteFunc(failed, func(name string) bool { return name == "" }); len(failed) > 0 {
		return fmt.Errorf("%d of %d boots failed: %s", len(failed), len(chosen), strings.Join(failed, " "))
	}
	fmt.Printf("%d boots passed\n", len(chosen))
	return nil
}

// script returns the output of a script.
func script(ctx context.Context, path string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, arguments...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it then removes its files
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// run boots once, prints the result, and reports whether it is good.
func (b boot) run(ctx context.Context, kernel, initramfs, run string) bool {
	began := time.Now()
	tell := func(format string, a ...any) { fmt.Printf(b.name()+": "+format+"\n", a...) }
	release, path, _ := strings.Cut(kernel, " ")
	text, err := b.emulate(ctx, path, initramfs, run, tell)
	summary, complaints := b.judge(release, run, text)
	if err != nil {
		complaints = append(complaints, err.Error())
	}
	if len(complaints) > 0 {
		tell("the output of the machine:\n%s", text)
	}
	for _, c := range complaints {
		tell("FAILED: %s", c)
	}
	tell("%s\n  in %.0fs", summary, time.Since(began).Seconds())
	return len(complaints) == 0
}

// emulate returns the output of the machine until init or the machine ends. It passes
// the lines of init to tell.
func (b boot) emulate(ctx context.Context, kernel, initramfs, run string, tell func(string, ...any)) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m := machines[b.arch()]
	cmd := exec.CommandContext(ctx, m.qemu[0], slices.Concat(m.qemu[1:], []string{
		// One thread for both processors. Before 8.1, qemu with a thread for each can run
		// the old version of code that the kernel has patched ("Oops: int3" at boot).
		"-accel", "tcg,thread=single", "-smp", "2", "-m", "2G",
		// Not -nographic: the BIOS would write to the serial port.
		"-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", initramfs,
		// A panic ends the machine. No other message may print between the tests' lines.
		"-append", "quiet loglevel=1 panic=-1 " + m.parameters + " " + b.parameters(run),
	})...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	var text strings.Builder
	for reader := bufio.NewReader(stdout); ; {
		line, err := reader.ReadString('\n')
		text.WriteString(strings.TrimRight(line, "\r\n") + "\n")
		if progress, of := strings.CutPrefix("\n"+line, mark); of {
			tell("%s", strings.TrimSpace(progress))
			if strings.HasPrefix(progress, "end ") {
				cancel()
				_ = cmd.Wait() // it was killed
				return text.String(), nil
			}
		}
		if err != nil {
			return text.String(), fmt.Errorf("the machine stopped: %v, %v", err, cmd.Wait())
		}
	}
}
