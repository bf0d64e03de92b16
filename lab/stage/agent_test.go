package stage

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/lifecycle"
	"github.com/inhaul/inhaul/lab/process"
)

// TestMain lets the test's own program stand for the lab's, which keeps the
// agent running: lab supervise --pid-file FILE -- PROGRAM ARGS…
func TestMain(m *testing.M) {
	if len(os.Args) < 6 || os.Args[1] != "supervise" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := process.Supervise(ctx, os.Args[3], os.Args[5:], os.Stdout, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// newStage is a lab whose agent is a shell script, and whose kubectl agrees to
// everything.
func newStage(t *testing.T) *Stage {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	lab := &layout.Lab{Dir: t.TempDir(), Mode: layout.Kwok}
	s := &Stage{Lab: lab, Source: t.TempDir(), Self: self, Out: io.Discard}
	lab.Kubeconfig, lab.Programs.Kubectl = lab.Path("kubeconfig", "admin"), lab.Path("bin", "kubectl")
	for path, content := range map[string]string{
		lab.Programs.Kubectl:              "#!/bin/sh\ncase \"$*\" in *lease*) echo lab-2 ;; *) echo '{\"users\": [{}]}' ;; esac\n",
		s.Bin("inhaul-agent"):             "#!/bin/sh\nwhile :; do sleep 0.05; done\n",
		lab.AppKeyFile():                  "",
		lab.CABundle():                    "",
		lab.Path("docker", "config.json"): "{}",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := lab.Save(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.StopAgent(context.Background()); err != nil && layout.Exists(lab.Dir) {
			t.Error(err)
		}
	})
	return s
}

// running are the agents of the stage, and what keeps them running, by kind.
func (s *Stage) running(t *testing.T) map[string]int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, entry := range entries {
		cmdline, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil || !strings.Contains(string(cmdline), s.Bin("inhaul-agent")) {
			continue
		}
		if strings.Contains(string(cmdline), "supervise") {
			kinds["supervisor"]++
		} else {
			kinds["agent"]++
		}
	}
	return kinds
}

// eventually waits for the processes that are wanted: the kernel takes a moment
// to end those whose parent was killed.
func (s *Stage) eventually(t *testing.T, want map[string]int) {
	t.Helper()
	var diff string
	for range 200 {
		if diff = cmp.Diff(want, s.running(t)); diff == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("processes: got +, want -\n%s", diff)
}

func TestAnAgentInstalledTwiceRunsOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for range 2 {
		if err := s.InstallAgent(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * 200 * time.Millisecond) // an older one would have started its agent again by now
	s.eventually(t, map[string]int{"supervisor": 1, "agent": 1})
	table, err := process.Open(s.Lab.Processes())
	if err != nil || len(table.Records()) != 1 {
		t.Errorf("got %v, %v, want one remembered process", table.Records(), err)
	}
}

func TestAKilledAgentStartsAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if err := s.StartAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, err := s.pids()
	if err != nil || len(first) != 1 {
		t.Fatalf("got %v, %v, want one process", first, err)
	}
	if err := s.KillAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if again, err := s.pids(); err == nil && len(again) == 1 && again[0] != first[0] {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the agent did not start again")
}

func TestTheLeaderOfTwoIsKilledUnlessSomebodyElseIsNamed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Replicas = 2
	if err := s.StartAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := s.agents(t, 0)
	if err := s.KillAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := s.agents(t, before[1].PID)
	if before[0].Identity != "lab" || before[1].Identity != "lab-2" || !before[1].Leads || before[0].Leads {
		t.Errorf("got %+v, want lab, and lab-2 that leads", before)
	}
	if before[0].Health == before[1].Health || before[0].Health == "" {
		t.Errorf("got the health listeners %q and %q, want two", before[0].Health, before[1].Health)
	}
	if after[0].PID != before[0].PID || after[1].PID == before[1].PID {
		t.Errorf("got %+v after %+v, want the leader alone to have started again", after, before)
	}
	if err := s.SignalAgents(t.Context(), "1", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if last := s.agents(t, after[0].PID); last[0].PID == after[0].PID || last[1].PID != after[1].PID {
		t.Errorf("got %+v after %+v, want the first alone to have started again", last, after)
	}
	if err := s.SignalAgents(t.Context(), "3", syscall.SIGKILL); err == nil {
		t.Error("got no error for an agent that there is not")
	}
}

// agents waits until both agents of the stage run, and the process killed does
// not any more.
func (s *Stage) agents(t *testing.T, killed int) []Replica {
	t.Helper()
	for range 500 {
		replicas, err := s.Agents(t.Context())
		if err == nil && len(replicas) == 2 && !slices.ContainsFunc(replicas, func(r Replica) bool { return r.PID == killed }) {
			return replicas
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the two agents did not start")
	return nil
}

func TestDownEndsTheAgentToo(t *testing.T) {
	t.Parallel()
	for name, wipe := range map[string]bool{"down": false, "down --wipe": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			if err := s.StartAgent(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.eventually(t, map[string]int{"supervisor": 1, "agent": 1})
			if err := lifecycle.Down(t.Context(), s.Lab.Dir, wipe, io.Discard); err != nil {
				t.Fatal(err)
			}
			s.eventually(t, map[string]int{})
		})
	}
}

func TestAnAgentThatIsStoppedStaysStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for range 8 {
		if err := s.StartAgent(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = s.KillAgent(t.Context()) // it may be starting just now
		if err := s.StopAgent(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{}, s.running(t)); diff != "" {
			t.Fatalf("after kill and stop: got +, want -\n%s", diff)
		}
	}
	time.Sleep(2 * 200 * time.Millisecond)
	s.eventually(t, map[string]int{})
}

func TestARunDoesNotSeeTheRunThatItIsPlayedIn(t *testing.T) {
	t.Parallel()
	got := withoutRun([]string{"PATH=/bin", "GITHUB_TOKEN=x", "ACTIONS_ID_TOKEN_REQUEST_URL=x", "RUNNER_TEMP=x", "INPUT_FORCE=true", "HOME=/root"})
	if diff := cmp.Diff([]string{"PATH=/bin", "HOME=/root"}, got); diff != "" {
		t.Errorf("got +, want -\n%s", diff)
	}
}
