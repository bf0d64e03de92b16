package e2e

import (
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a story waits for an agent to take over: several leases.
const patience = time.Minute

// standby reports whether the lab has a second agent.
func standby() bool {
	status, err := exec.Command(os.Getenv("LAB_BIN"), "agent", "status", "--dir", os.Getenv("LAB_DIR")).Output()
	return err == nil && strings.Count(string(status), "\n") > 1
}

// leader waits until an agent leads, another one than $LEADER with "other", and
// sets $LEADER to its name. Whatever was paused goes on after the story.
func leader(ts *testscript.TestScript, neg bool, args []string) {
	other := len(args) == 1 && args[0] == "other"
	if neg || len(args) > 0 && !other {
		ts.Fatalf("usage: leader [other]")
	}
	ts.Defer(func() { _ = ts.Exec("lab", "agent", "kill", "--which", "all", "--signal", "CONT") })
	for began := time.Now(); time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		if ts.Exec("lab", "agent", "status") != nil {
			continue
		}
		for line := range strings.Lines(ts.ReadFile("stdout")) {
			name, rest, _ := strings.Cut(line, "\t")
			if strings.Contains(rest, "leader") && (!other || name != ts.Getenv("LEADER")) {
				ts.Logf("%s leads after %s", name, time.Since(began).Round(10*time.Millisecond))
				ts.Setenv("LEADER", name)
				return
			}
		}
	}
	ts.Fatalf("nobody else leads after %s", patience)
}

// underway waits until a release is there, and fails if it has its verdict by
// then: underway NUMBER
func underway(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: underway NUMBER")
	}
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		err := ts.Exec(ts.Getenv("LAB_KUBECTL"), "-n", ts.Getenv("NAMESPACE"), "get", "release", ts.Getenv("APP")+"-"+args[0], "-o", "jsonpath={.status.phase}")
		if err == nil {
			switch phase := ts.ReadFile("stdout"); phase {
			case "Pending", "Applying", "RollingOut":
				return
			case "":
				continue
			default:
				ts.Fatalf("release %s is %s already", args[0], phase)
			}
		}
	}
	ts.Fatalf("release %s is not there after %s", args[0], patience)
}
