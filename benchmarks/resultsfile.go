//go:build linux

package main

import (
	"io"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// writeResults writes every round in the format of Go's benchmarks, for benchstat:
//
//	benchstat -col /setting results.txt
//	benchstat -filter '.unit:ratio' -col /setting results.txt
func writeResults(w io.Writer, m machine, runs []*run) error {
	out := benchfmt.NewWriter(w)
	config := []benchfmt.Config{
		fileConfig("goos", m.system[:strings.Index(m.system, "/")]),
		fileConfig("goarch", m.system[strings.Index(m.system, "/")+1:]),
		fileConfig("cpu", m.processor),
		fileConfig("kernel", m.kernel),
		fileConfig("go", m.goVersion),
	}
	for _, r := range runs {
		for _, s := range r.subjects {
			ratios := r.ratios(s.Name)
			for i, ns := range r.nanoseconds(s.Name) {
				err := out.Write(&benchfmt.Result{
					Config: config,
					Name:   benchfmt.Name(benchmarkName(r, s.Name)),
					Iters:  1,
					Values: []benchfmt.Value{
						{Value: ns * 1e-9, Unit: "sec/op", OrigValue: ns, OrigUnit: "ns/op"},
						{Value: ratios[i], Unit: "ratio"},
					},
				})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func fileConfig(key, value string) benchfmt.Config {
	return benchfmt.Config{Key: key, Value: []byte(value), File: true}
}

// benchmarkName has no spaces, and a slash only where one key follows another.
func benchmarkName(r *run, subject string) string {
	flat := strings.NewReplacer(" ", "_", "/", ":").Replace(subject)
	return strings.ToUpper(r.group[:1]) + r.group[1:] + "/subject=" + flat + "/setting=" + r.setting.name
}
