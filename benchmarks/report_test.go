//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// measured is what bench.sh writes of so many runs, where one run was disturbed.
func measured(runs int) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "kernel: Linux 6.1\ncpu: a processor\nsetting: native\nBenchmarkSize/a_server/over=none 1 479 KiB")
	for run := range runs {
		for _, setting := range settings {
			fmt.Fprintln(&b, "setting:", setting)
			for i, name := range charted {
				kind := "Others"
				if strings.HasPrefix(name, "Get") {
					kind = "Ours"
				}
				ratio := 1 + 0.1*float64(i)
				if run == 3 {
					ratio *= 50
				}
				fmt.Fprintf(&b, "Benchmark%s/%s/over=getsockopt-2 100 %d ns/op %v ratio 2 allocations\n",
					kind, strings.ReplaceAll(name, " ", "_"), 300+i, ratio)
			}
		}
	}
	return b.Bytes()
}

func TestPage(t *testing.T) {
	r, err := readResults(measured(12))
	if err != nil {
		t.Fatal(err)
	}
	page, err := r.document("RESULTS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a processor, ", ", Linux 6.1, ",
		"\n| **`GetPeerCredentials`** | getsockopt | 1.200 (1.200–1.200) | 1.200 (1.200–1.200) | 302 | 302 | 2 | 2 |\n",
		"\n| a server | 479 | – |\n",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in:\n%s", want, page)
		}
	}
}

func TestChart(t *testing.T) {
	r, err := readResults(measured(1))
	if err != nil {
		t.Fatal(err)
	}
	svg, err := r.document("chart.svg")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			words = append(words, string(text))
		}
	}
	for _, want := range append(charted, "1.20") {
		if !strings.Contains(strings.Join(words, "\n"), want) {
			t.Errorf("the chart does not say %q", want)
		}
	}
}

// No document is written without measurements.
func TestResultsThatMiss(t *testing.T) {
	for name, text := range map[string]string{
		"no results":       "PASS\n",
		"no base":          "BenchmarkOurs/GetPeerCredentials-2 1 300 ns/op\n",
		"no measurement":   "BenchmarkOurs/GetPeerCredentials/over=getsockopt-2 1 none ns/op\n",
		"no other setting": strings.ReplaceAll(string(measured(1)), "setting: cgo", "setting: native"),
	} {
		r, err := readResults([]byte(text))
		if err == nil {
			_, err = r.document("chart.svg")
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
