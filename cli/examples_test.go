package cli_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/cli"
)

// TestTheExamplesAreWhatInitWrites runs init in a copy of each example without its
// workflows, and wants them back.
func TestTheExamplesAreWhatInitWrites(t *testing.T) {
	t.Parallel()
	const ecr = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/"
	for example, flags := range map[string][]string{
		"storefront":  {"--repository", "acme/storefront", "--image-repository", ecr + "storefront"},
		"split-build": {"--repository", "acme/split-build", "--image-repository", ecr + "split-build", "--split"},
	} {
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			dir, folder := t.TempDir(), filepath.Join("../examples", example)
			if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(dir, ".github")); err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			inhaul := cli.Commands{Stdout: &said, Stderr: &said, Files: cli.Disk{}, Folders: cli.Disk{}}
			if code := inhaul.Run(t.Context(), append([]string{"init", dir}, flags...)); code != 0 {
				t.Fatalf("got exit code %d and\n%s", code, said.String())
			}
			compare(t, filepath.Join(folder, ".github"), tree(t, filepath.Join(dir, ".github")))
			if *update && read(t, filepath.Join(folder, "inhaul.yaml")) == "" {
				write(t, filepath.Join(folder, "inhaul.yaml"), read(t, filepath.Join(dir, "inhaul.yaml")))
			}
			if read(t, filepath.Join(folder, "inhaul.yaml")) != read(t, filepath.Join(dir, "inhaul.yaml")) {
				t.Error("inhaul.yaml is another than init writes")
			}
		})
	}
}

// TestEveryWorkflowUsesTheSamePins reads the examples that init did not write too.
func TestEveryWorkflowUsesTheSamePins(t *testing.T) {
	t.Parallel()
	pinned := regexp.MustCompile(`uses: (\S+)@([0-9a-f]{40}) # (v[0-9.]+)`)
	pins := map[string]string{}
	for _, pin := range pinned.FindAllStringSubmatch(read(t, "templates/steps.tmpl"), -1) {
		pins[pin[1]] = pin[2] + " # " + pin[3]
	}
	if len(pins) != 5 {
		t.Fatalf("got the pins %v, want five", pins)
	}
	err := filepath.WalkDir("../examples", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.Contains(filepath.ToSlash(name), "/.github/workflows/") {
			return err
		}
		text := read(t, name)
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "uses:") || strings.Contains(line, "uses: inhaul/inhaul@v1 # pin it") {
				continue
			}
			if pin := pinned.FindStringSubmatch(line); pin == nil || pins[pin[1]] != pin[2]+" # "+pin[3] {
				t.Errorf("%s: %s is not pinned as in templates/steps.tmpl", name, strings.TrimSpace(line))
			}
		}
		if regexp.MustCompile(`(?m)^\s*(- )?run:`).MatchString(text) {
			t.Errorf("%s runs a script: nothing of an event may get into one", name)
		}
		if !strings.Contains(text, "\npermissions: {}") || strings.Count(text, "runs-on:") != strings.Count(text, "timeout-minutes:") {
			t.Errorf("%s: want no permission that a job does not ask for, and a time limit for each", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
