//go:build unix

package toolrun

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gcc"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	gcc, clang, musl := Tool{"gcc", "gcc libc6-dev"}, Tool{"clang", "clang libc6-dev"}, Tool{"musl-gcc", "musl-tools libc6-dev"}
	for _, test := range []struct {
		tools []Tool
		want  string
	}{
		{nil, ""},
		{[]Tool{gcc}, ""},
		{[]Tool{gcc, clang}, "missing: clang; apt-get install --no-install-recommends clang libc6-dev"},
		{[]Tool{musl, gcc, clang, musl}, "missing: clang, musl-gcc; apt-get install --no-install-recommends clang libc6-dev musl-tools"},
	} {
		got := ""
		if err := Missing(test.tools...); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.tools, diff)
		}
	}
}
