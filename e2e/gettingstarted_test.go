package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// maxFirstCommands is how many commands a new user has to run before a check is green.
const maxFirstCommands = 5

// firstCommands are those that the document tells a new user to run in a lab.
func firstCommands(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/getting-started.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)<!-- lab: [^\n]*-->\n```sh\n(.*?)\n```").FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/getting-started.md has no commands for the lab")
	}
	return strings.Split(string(found[1]), "\n")
}

// TestGettingStarted runs what docs/getting-started.md tells a new user to, in a
// shell of its own. The lab is up already, so the first command is not run again.
func TestGettingStarted(t *testing.T) {
	lab, dir := needLab(t)
	commands := firstCommands(t)
	if len(commands) > maxFirstCommands || commands[0] != "make lab" || strings.Contains(strings.Join(commands, "\n"), "\\\n") {
		t.Fatalf("got %q, want at most %d commands, make lab first", commands, maxFirstCommands)
	}
	plan := exec.Command("make", "-n", "-C", "..", "lab")
	if out, err := plan.CombinedOutput(); err != nil || !strings.Contains(string(out), "bin/lab agent install") || !strings.Contains(string(out), "-o bin/inhaul ./cmd/inhaul") {
		t.Errorf("make lab: %v\n%s", err, out)
	}
	here := t.TempDir()
	if err := os.Mkdir(filepath.Join(here, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{"lab": lab, "inhaul": filepath.Join(buildCommands(t), "inhaul")} {
		if err := os.Symlink(program, filepath.Join(here, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	started := time.Now()
	shell := exec.Command("bash", "-eu", "-c", strings.Join(commands[1:], "\n"))
	shell.Dir = here
	shell.Env = append(os.Environ(), "LAB_DIR="+dir)
	out, err := shell.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Live in") {
		t.Fatalf("%v\n%s\nwant all of them to work, and the last one to end with the app live", err, out)
	}
	t.Logf("from an empty folder to live in %s", time.Since(started).Round(100*time.Millisecond))
	checks := exec.Command(lab, "checks", "--repository", "acme/shop")
	checks.Dir, checks.Env = filepath.Join(here, "shop"), shell.Env
	if out, err := checks.CombinedOutput(); err != nil || !strings.Contains(string(out), "production: success: Live in") {
		t.Errorf("the check: %v\n%s", err, out)
	}
}
