package native

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A label of any length is read, in as many calls as that takes.
func TestReadLabel(t *testing.T) {
	for _, test := range []struct {
		name  string
		label string
		grows int // the label gets longer by so much before it is asked for again
		sizes []int
		err   error
	}{
		{"short", "kernel\x00", 0, []int{256}, nil},
		{"fits exactly", strings.Repeat("x", 256), 0, []int{256}, nil},
		{"one too long", strings.Repeat("x", 257), 0, []int{256, 257}, nil},
		{"long, with a NUL", strings.Repeat("x", 5000) + "\x00", 0, []int{256, 5001}, nil},
		{"grows meanwhile", strings.Repeat("x", 300), 10, []int{256, 300, 310}, nil},
		{"as long as may be", strings.Repeat("x", maxLabel), 0, []int{256, maxLabel}, nil},
		{"longer than may be", strings.Repeat("x", maxLabel+1), 0, []int{256}, unix.EPROTO},
	} {
		t.Run(test.name, func(t *testing.T) {
			var sizes []int
			label := test.label
			got, err := readLabel(func(buffer []byte) (uint32, error) {
				sizes = append(sizes, len(buffer))
				if len(buffer) < len(label) {
					told := uint32(len(label))
					if len(sizes) == 1 {
						label += strings.Repeat("x", test.grows)
					}
					return told, unix.ERANGE
				}
				return uint32(copy(buffer, label)), nil
			})
			want := strings.TrimSuffix(label, "\x00")
			if test.err != nil {
				want = ""
			}
			if got != want || err != test.err {
				t.Errorf("%d bytes, %v, want %d and %v", len(got), err, len(want), test.err)
			}
			if diff := cmp.Diff(test.sizes, sizes); diff != "" {
				t.Errorf("asked with room for (-want +got):\n%s", diff)
			}
		})
	}
	// If the kernel answers ERANGE for a buffer that is large enough, it is not asked forever.
	for _, length := range []uint32{0, 255, 256} {
		asked := []uint32{}
		if got, err := readLabel(func([]byte) (uint32, error) { asked = append(asked, length); return length, unix.ERANGE }); got != "" || err != unix.EPROTO || !slices.Equal(asked, []uint32{length}) {
			t.Errorf("ERANGE and %d: %q, %v, asked %d times, want EPROTO at once", length, got, err, len(asked))
		}
	}
}
