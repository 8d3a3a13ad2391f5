package main

import (
	"bytes"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"example.com/peercred/benchmarks/internal/order"
)

// Colours in the middle between black and white, on no background: they are readable
// on either.
var (
	ink    = color.RGBA{0x7d, 0x85, 0x90, 0xff}
	faint  = color.NRGBA{0x7d, 0x85, 0x90, 0x50}
	colour = map[order.Kind]color.Color{
		order.Limit: color.RGBA{0x2d, 0xa4, 0x4e, 0xff},
		order.Ours:  color.RGBA{0x1f, 0x7a, 0xe0, 0xff},
		order.Peer:  color.RGBA{0xd9, 0x7a, 0x16, 0xff},
	}
	// A full dot and a ring, for those who do not see colours too.
	shape = map[setting]draw.GlyphDrawer{native: draw.CircleGlyph{}, cgo: draw.RingGlyph{}}
)

// charted are the subjects of the picture, the fastest first as they should be.
var charted = []string{
	order.CLoop, order.Bare, order.Get, order.GetOf, order.RecipeControl, order.TTRPC, order.Tailscale, order.RecipeFile,
}

// chart is one axis, from the kernel's own answer to what takes many times as long,
// and on it ours, the peers and the limit.
func (r *report) chart() ([]byte, error) {
	p := newPlot()
	var names []string
	for _, s := range r.subjects(order.Questions) {
		if slices.Contains(charted, s.Name) {
			names = append(names, s.Name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return slices.Index(charted, b) - slices.Index(charted, a) })
	p.NominalY(names...)
	p.Y.Padding = vg.Points(6)
	for _, s := range settings {
		for row, name := range names {
			if err := r.addDot(p, s, name, float64(row)); err != nil {
				return nil, err
			}
		}
	}
	p.X.Min, p.X.Max = 0.85, 8
	canvas := vgsvg.New(7.4*vg.Inch, vg.Length(len(names))*0.27*vg.Inch+1.15*vg.Inch)
	p.Draw(draw.New(canvas))
	var svg bytes.Buffer
	_, err := canvas.WriteTo(&svg)
	return svg.Bytes(), err
}

func newPlot() *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.Title.Text = "One question, in bare getsockopt calls (the axis is logarithmic)"
	p.Title.TextStyle.Color = ink
	p.Title.Padding = vg.Points(8)
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = plot.ConstantTicks{
		{Value: 1, Label: "1"}, {Value: 1.25, Label: "1.25"}, {Value: 1.5, Label: "1.5"}, {Value: 2, Label: "2"},
		{Value: 3, Label: "3"}, {Value: 4, Label: "4"}, {Value: 6, Label: "6"}, {Value: 8, Label: "8"},
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color, axis.Tick.Label.Color = ink, ink, ink
	}
	p.Y.LineStyle.Width = 0
	grid := plotter.NewGrid()
	grid.Horizontal.Width = 0
	grid.Vertical.Color = faint
	p.Add(grid)
	p.Legend.Top = true
	p.Legend.TextStyle.Color = ink
	return p
}

// addDot draws a subject's median, its interval, and the number.
func (r *report) addDot(p *plot.Plot, s setting, name string, row float64) error {
	ratio, measured := spreadOf(r.of(order.Questions, s).ratios(name))
	if !measured {
		return nil
	}
	subject, _ := r.of(order.Questions, s).subject(name)
	dots, err := plotter.NewScatter(plotter.XYs{{X: ratio.median, Y: row}})
	if err != nil {
		return err
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: colour[subject.Kind], Radius: vg.Points(4), Shape: shape[s]}
	bars, err := plotter.NewXErrorBars(&interval{dots.XYs, plotter.XErrors{{Low: ratio.low - ratio.median, High: ratio.high - ratio.median}}})
	if err != nil {
		return err
	}
	bars.Color = colour[subject.Kind]
	p.Add(bars, dots)
	return nil
}

type interval struct {
	plotter.XYs
	plotter.XErrors
}
