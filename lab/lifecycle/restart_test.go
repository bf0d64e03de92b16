package lifecycle

import (
	"strings"
	"testing"

	"github.com/inhaul/inhaul/lab/layout"
)

func TestRestartTouchesOnlyALabThatHasAnAPIServerOfItsOwn(t *testing.T) {
	t.Parallel()
	for mode, want := range map[layout.Mode]string{layout.Real: "want kwok", layout.External: "want kwok", layout.Kwok: "there is none"} {
		lab := &layout.Lab{Dir: t.TempDir(), Mode: mode}
		if err := lab.Save(); err != nil {
			t.Fatal(err)
		}
		if err := Restart(t.Context(), lab.Dir, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("mode %s: got %v, want an error with %q", mode, err, want)
		}
	}
}
