package lifecycle

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/lab/layout"
)

func TestQuoteIsOneShellWord(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"", "plain", "two words", `it's $HOME "and" \n`, "a\nb"} {
		got, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+Quote(want)).Output()
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestEnvLeavesEmptyWhatTheModeLacks(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		lab   layout.Lab
		empty []string
	}{
		"kwok without a builder": {
			layout.Lab{Mode: layout.Kwok},
			[]string{"BUILDX_BUILDER", "LAB_PROXY", "LAB_BUILDER", "LAB_BUILDX", "LAB_NODE_ADDRESS"},
		},
		"real with a builder": {layout.Lab{Mode: layout.Real, Programs: layout.Programs{Buildkitd: "/b", Buildx: "/x"}}, nil},
	}
	for name, c := range cases {
		c.lab.Dir, c.lab.Kubeconfig, c.lab.SandboxImage, c.lab.Programs.Kubectl = "/d", "/k", "i", "/c"
		var empty []string
		for _, pair := range Env(&c.lab) {
			if pair[1] == "" {
				empty = append(empty, pair[0])
			}
		}
		if diff := cmp.Diff(c.empty, empty); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDownWithoutALabIsNoError(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := Down(t.Context(), filepath.Join(t.TempDir(), "none"), true, &out); err != nil || !strings.Contains(out.String(), "no lab") {
		t.Errorf("got %q, %v", out.String(), err)
	}
}
