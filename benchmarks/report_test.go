//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"

	"example.com/peercred/benchmarks/internal/order"
)

// measuredAs is a report of questions that took so many nanoseconds, in all rounds
// but a disturbed one, of both settings.
func measuredAs(nanoseconds map[string]float64) *report {
	r := &report{machine: machine{system: "linux/amd64"}, rounds: 12}
	for _, s := range settings {
		run := &run{group: order.Questions, setting: s}
		for _, name := range charted {
			if _, measured := nanoseconds[name]; measured {
				run.subjects = append(run.subjects, order.Subject{Name: name, Kind: order.Ours, Against: order.Bare})
			}
		}
		for range r.rounds - 1 {
			run.rounds = append(run.rounds, nanoseconds)
		}
		disturbed := map[string]float64{}
		for name := range nanoseconds {
			disturbed[name] = nanoseconds[name] * float64(len(name))
		}
		run.rounds = append(run.rounds, disturbed)
		r.runs = append(r.runs, run)
	}
	return r
}

func TestRatios(t *testing.T) {
	r := measuredAs(map[string]float64{order.Bare: 100, order.Get: 110, order.Tailscale: 140})
	ratio, ok := spreadOf(r.of(order.Questions, native).ratios(order.Get))
	if want := (spread{1.1, 1.1, 1.1}); !ok || ratio != want {
		t.Errorf("got %v, %v, want %v", ratio, ok, want)
	}
	if got := r.overheadTarget(native, nativeOverhead); !got.met || got.measured != "0.250 (0.250–0.250)" {
		t.Errorf("got %+v", got)
	}
	if got := r.ratioTarget(cgo, 1.09); got.met {
		t.Errorf("got %+v", got)
	}
}

// What was not measured meets no target.
func TestTargetsOfNothing(t *testing.T) {
	for _, target := range targets(&report{}) {
		if target.met {
			t.Errorf("nothing meets %+v", target)
		}
	}
}

func TestFasterThanPeers(t *testing.T) {
	peers := map[string]float64{order.Bare: 100, order.Get: 110, order.Tailscale: 140,
		order.TTRPC: 130, order.RecipeControl: 125, order.RecipeFile: 900}
	if got := measuredAs(peers).fasterTarget(native); !got.met {
		t.Errorf("got %+v", got)
	}
	peers[order.TTRPC] = 109
	if got := measuredAs(peers).fasterTarget(native); got.met || !strings.Contains(got.measured, order.TTRPC) {
		t.Errorf("got %+v", got)
	}
}

func TestResultsAreBenchstats(t *testing.T) {
	var b bytes.Buffer
	r := measuredAs(map[string]float64{order.Bare: 100, order.Get: 110, order.RecipeFile: 900})
	if err := writeResults(&b, r.machine, r.runs); err != nil {
		t.Fatal(err)
	}
	n := 0
	for reader := benchfmt.NewReader(&b, "results"); reader.Scan(); n++ {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			t.Fatalf("%v", reader.Result())
		}
		if _, measured := result.Value("ratio"); !measured {
			t.Errorf("%s has no ratio", result.Name)
		}
	}
	if want := 3 * r.rounds * len(settings); n != want {
		t.Errorf("%d results, want %d", n, want)
	}
}

func TestChartIsXML(t *testing.T) {
	r := measuredAs(map[string]float64{order.Bare: 100, order.Get: 110, order.RecipeFile: 900})
	svg, err := r.chart()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		_, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Contains(svg, []byte(order.Get)) {
		t.Error("we are not in it")
	}
}

func TestParseCalls(t *testing.T) {
	calls, err := parseCalls([]byte(`% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000009           0       101           getsockopt
 40.00    0.000006           6         1         1 fcntl
------ ----------- ----------- --------- --------- ----------------
100.00    0.000015           0       102         1 total
`))
	if err != nil || len(calls) != 2 || calls["getsockopt"] != 101 || calls["fcntl"] != 1 {
		t.Errorf("got %v, %v", calls, err)
	}
	if _, err := parseCalls(nil); err == nil {
		t.Error("nothing was counted, and that is no error")
	}
}
