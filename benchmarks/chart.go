//go:build linux

package main

import (
	"bytes"
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"example.com/peercred/benchmarks/internal/order"
)

// Colours in the middle between black and white, on no background: they are readable
// on either.
var (
	ink    = color.NRGBA{0x7d, 0x85, 0x90, 0xff}
	colour = map[order.Kind]color.NRGBA{
		order.Limit: {0x2d, 0xa4, 0x4e, 0xff},
		order.Ours:  {0x2f, 0x81, 0xf7, 0xff},
		order.Peer:  {0xc6, 0x7a, 0x2e, 0xff},
	}
)

// charted are the subjects of the picture, from the limit on.
var charted = []string{
	order.CLoop, order.Bare, order.BareControl, order.Get, order.GetOf,
	order.RecipeControl, order.TTRPC, order.Tailscale, order.RecipeFile,
}

// Where the axis ends. What takes many times as long is cut off there, and says how
// long it is.
const axisEnd = 1.6

const (
	barWidth  = 11.0 // points
	rowHeight = 3.1 * barWidth
)

// chart is one axis, that begins at nothing, with ours, the peers and the limit.
func (r *report) chart() ([]byte, error) {
	p := newPlot()
	rows := r.charted()
	var names []string
	for row, s := range rows {
		names = append(names, s.Name)
		for _, setting := range settings {
			if err := r.addBar(p, setting, s, float64(row)); err != nil {
				return nil, err
			}
		}
	}
	if err := addLimit(p, float64(len(rows))); err != nil {
		return nil, err
	}
	p.NominalY(names...)
	p.Y.Width, p.Y.Tick.Length, p.Y.Tick.Label.Color = 0, 0, ink
	p.X.Min, p.X.Max = 0, axisEnd
	p.Y.Min, p.Y.Max = -0.5, float64(len(rows))-0.5
	canvas := vgsvg.New(600, vg.Length(len(rows))*rowHeight+60)
	p.Draw(draw.Crop(draw.New(canvas), 4, -14, 4, -4))
	var svg bytes.Buffer
	_, err := canvas.WriteTo(&svg)
	// Who does not have the font has one that is as wide.
	return bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), err
}

// charted are from the bottom up.
func (r *report) charted() []order.Subject {
	rows := slices.DeleteFunc(r.subjects(order.Questions), func(s order.Subject) bool { return !slices.Contains(charted, s.Name) })
	slices.SortFunc(rows, func(a, b order.Subject) int {
		return slices.Index(charted, b.Name) - slices.Index(charted, a.Name)
	})
	return rows
}

func newPlot() *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	plotter.DefaultFont = plot.DefaultFont
	p := plot.New()
	p.BackgroundColor = nil
	p.Title.Text = "What one question costs, in bare getsockopt calls (upper bar without cgo, lower with cgo)"
	p.Title.TextStyle.Color, p.Title.TextStyle.Font.Size = ink, 11.5
	p.Title.Padding = 8
	p.X.Color, p.X.Tick.Color, p.X.Tick.Label.Color = ink, ink, ink
	p.X.Tick.Marker = plot.ConstantTicks{
		{Value: 0, Label: "0"}, {Value: 0.5, Label: "0.5"}, {Value: 1, Label: "1"}, {Value: 1.5, Label: "1.5"}}
	return p
}

// addBar draws a subject's median in a setting, its interval, and the number.
func (r *report) addBar(p *plot.Plot, s setting, subject order.Subject, row float64) error {
	ratio, measured := spreadOf(r.of(order.Questions, s).ratios(subject.Name))
	if !measured {
		return nil
	}
	above := 0.17 // of the middle of the row
	fill := colour[subject.Kind]
	if s == cgo {
		above = -above
		fill.A = 0xa0
	}
	end := min(ratio.median, axisEnd)
	bar, err := plotter.NewBarChart(plotter.Values{end}, barWidth)
	if err != nil {
		return err
	}
	bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, row+above, fill, 0
	p.Add(bar)
	if ratio.high < axisEnd {
		whisker, err := plotter.NewLine(plotter.XYs{{X: ratio.low, Y: row + above}, {X: ratio.high, Y: row + above}})
		if err != nil {
			return err
		}
		whisker.Color, whisker.Width = ink, 2
		p.Add(whisker)
	}
	return addNumber(p, ratio, row+above)
}

// addNumber writes it behind the bar, or into one that is cut off.
func addNumber(p *plot.Plot, ratio spread, y float64) error {
	at, align, label := max(ratio.median, ratio.high), text.XLeft, fmt.Sprintf("%.2f", ratio.median)
	style, space := ink, vg.Length(4)
	if at >= axisEnd {
		at, align, label = axisEnd, text.XRight, fmt.Sprintf("%.1f \u2192", ratio.median)
		style, space = color.NRGBA{0xff, 0xff, 0xff, 0xff}, -space
	}
	numbers, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: at, Y: y}}, Labels: []string{label}})
	if err != nil {
		return err
	}
	numbers.TextStyle[0].Color, numbers.TextStyle[0].Font.Size = style, 9.5
	numbers.TextStyle[0].XAlign, numbers.TextStyle[0].YAlign = align, text.YCenter
	numbers.Offset.X = space
	p.Add(numbers)
	return nil
}

// addLimit draws a line at the bare call, over all rows.
func addLimit(p *plot.Plot, rows float64) error {
	line, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: rows - 0.5}})
	if err != nil {
		return err
	}
	line.Color, line.Width, line.Dashes = colour[order.Limit], 1, []vg.Length{3, 2}
	p.Add(line)
	return nil
}
