package lifecycle

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/lab/layout"
)

// fakeApt puts an apt-get on the PATH that writes down what it is told, and
// fails at the word that is given.
func fakeApt(t *testing.T, failsAt string) (told func() []string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho \"$*\" >> " + dir + "/told\n[ \"$1\" != '" + failsAt + "' ]\n"
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() []string {
		content, err := os.ReadFile(filepath.Join(dir, "told"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(content)), "\n")
	}
}

func TestPackagesAreInstalledFromFreshLists(t *testing.T) {
	told := fakeApt(t, "")
	if err := (&Up{Mode: layout.Real, Out: t.Output()}).provide(t.Context(), []string{"runc", "nodejs npm"}); err != nil {
		t.Fatal(err)
	}
	want := []string{"update -qq", "install -y --no-install-recommends runc nodejs npm"}
	if diff := cmp.Diff(want, told()); diff != "" {
		t.Errorf("apt-get was told: got +, want -\n%s", diff)
	}
}

func TestAFailedInstallationCostsModeAutoOnlyTheRealNode(t *testing.T) {
	for name, row := range map[string]struct {
		mode    layout.Mode
		failsAt string
		wantErr bool
	}{
		"real, nothing can be installed":    {layout.Real, "install", true},
		"auto, nothing can be installed":    {layout.Auto, "install", false},
		"real, the lists cannot be renewed": {layout.Real, "update", false},
	} {
		t.Run(name, func(t *testing.T) {
			told := fakeApt(t, row.failsAt)
			var out bytes.Buffer
			err := (&Up{Mode: row.mode, Out: &out}).provide(t.Context(), []string{"runc"})
			if (err != nil) != row.wantErr || len(told()) != 2 {
				t.Errorf("got %v after %q, want an error: %v", err, told(), row.wantErr)
			}
			if says := strings.Contains(out.String(), "going on without"); says != (row.mode == layout.Auto) {
				t.Errorf("got %q, want it to say that it goes on: %v", out.String(), row.mode == layout.Auto)
			}
		})
	}
}
