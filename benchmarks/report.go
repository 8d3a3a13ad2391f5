//go:build linux

package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"text/template"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

//go:embed *.tmpl
var templateFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "*.tmpl"))

// report writes the documents about the results that bench.sh wrote.
func report() error {
	text, err := os.ReadFile("results.txt")
	if err != nil {
		return err
	}
	r, err := readResults(text)
	if err != nil {
		return err
	}
	for _, name := range []string{"RESULTS.md", "chart.svg"} {
		document, err := r.document(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, document, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// results has the measurements, and the machine.
type results struct {
	*benchfmt.Result // the last one, which names the machine
	Rows             []*row
}

// row has the samples of one subject by setting and unit.
type row struct {
	Kind, Name, Over string
	samples          map[[2]string][]float64
}

var settings = []string{"native", "cgo"}

var benchmarkName = regexp.MustCompile(`^(\w+)/(.+)/over=(.+?)(?:-\d+)?$`)

func readResults(text []byte) (*results, error) {
	r := &results{}
	reader := benchfmt.NewReader(bytes.NewReader(text), "")
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, record
		case *benchfmt.Result:
			m := benchmarkName.FindStringSubmatch(strings.ReplaceAll(record.Name.String(), "_", " "))
			if m == nil {
				return nil, fmt.Errorf("%s does not say what it is compared with", record.Name)
			}
			measured := r.row(m[2])
			if measured == nil {
				measured = &row{m[1], m[2], m[3], map[[2]string][]float64{}}
				r.Rows = append(r.Rows, measured)
			}
			for _, v := range record.Values {
				key := [2]string{record.GetConfig("setting"), v.Unit}
				measured.samples[key] = append(measured.samples[key], v.Value)
			}
			r.Result = record.Clone()
		}
	}
	if len(r.Rows) == 0 {
		return nil, errors.New("there are no results")
	}
	return r, reader.Err()
}

// row returns nil if there is no such row.
func (r *results) row(name string) *row {
	for _, row := range r.Rows {
		if row.Name == name {
			return row
		}
	}
	return nil
}

func (r *results) document(name string) ([]byte, error) {
	var b bytes.Buffer
	err := templates.ExecuteTemplate(&b, name+".tmpl", r)
	return b.Bytes(), err
}

// missing is the cell for a value that one of the settings does not have.
const missing = "–"

// Ratio returns the median of the runs, with its interval if there were enough runs.
func (r *row) Ratio(setting string) string {
	values := r.samples[[2]string{setting, "ratio"}]
	if len(values) == 0 {
		return missing
	}
	m := median(values)
	if math.IsInf(m.Lo, 0) || math.IsInf(m.Hi, 0) {
		return fmt.Sprintf("%.3f", m.Center)
	}
	return fmt.Sprintf("%.3f (%.3f–%.3f)", m.Center, m.Lo, m.Hi)
}

// Number returns the rounded median of the runs in another unit.
func (r *row) Number(setting, unit string, scale float64) string {
	values := r.samples[[2]string{setting, unit}]
	if len(values) == 0 {
		return missing
	}
	return fmt.Sprintf("%.0f", median(values).Center*scale)
}

// median is that of benchstat, with its 95% confidence interval.
func median(values []float64) benchmath.Summary {
	sample := benchmath.NewSample(values, &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95)
}

// charted are the subjects in the chart, from the top.
var charted = []string{
	"getsockopt", "getsockopt within Control", "GetPeerCredentials",
	"SyscallConn + GetsockoptUcred", "containerd/ttrpc", "tailscale/peercred", "File + GetsockoptUcred",
}

// Lengths in chart.svg.tmpl.
const (
	unit      = 250 // of a getsockopt call
	axis      = 400 // a longer bar is cut off
	rowHeight = 34
	barHeight = 13
)

type chartRow struct {
	Kind, Name string
	Y          int
	Bars       []bar // without cgo and with it
}

type bar struct {
	Y, Width int
	Label    string
	Cut      bool
}

// Chart is what chart.svg.tmpl draws.
func (r *results) Chart() (rows []chartRow, err error) {
	for i, name := range charted {
		measured := r.row(name)
		if measured == nil {
			return nil, fmt.Errorf("%s was not measured", name)
		}
		row := chartRow{measured.Kind, name, rowHeight * i, nil}
		for j, setting := range settings {
			samples := measured.samples[[2]string{setting, "ratio"}]
			if len(samples) == 0 {
				return nil, fmt.Errorf("%s was not measured in the setting %s", name, setting)
			}
			ratio := median(samples).Center
			width := int(ratio * unit)
			row.Bars = append(row.Bars, bar{barHeight * j, min(width, axis), fmt.Sprintf("%.2f", ratio), width > axis})
		}
		rows = append(rows, row)
	}
	return rows, nil
}
