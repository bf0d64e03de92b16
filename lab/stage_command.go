package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/inhaul/inhaul/lab/stage"
)

// agentCommand works on the agents of a lab.
type agentCommand struct {
	labFlags
	Do       string `arg:"" enum:"install,kill,stop,status" help:"install builds and starts them; kill sends a signal, and who ends starts again; stop ends them; status lists them."`
	Replicas int    `help:"install: how many agents." default:"1"`
	NoApp    bool   `help:"install: agents without a GitHub App, which publish receipts."`
	Which    string `help:"kill: leader, all, or a number from 1." default:"leader"`
	Signal   string `help:"kill: KILL, TERM, STOP or CONT." enum:"KILL,TERM,STOP,CONT" default:"KILL"`
}

// Run does it.
func (c *agentCommand) Run(m *machine, ctx *invocation) error {
	s, err := c.stage(m)
	if err != nil {
		return err
	}
	switch c.Do {
	case "kill":
		return s.SignalAgents(ctx, c.Which, unix.SignalNum("SIG"+c.Signal))
	case "stop":
		return s.StopAgent(ctx)
	case "status":
		replicas, err := s.Agents(ctx)
		for _, r := range replicas {
			fmt.Fprintf(m.out, "%s\t%d\t%s\t%s\n", r.Identity, r.PID, r.Health, map[bool]string{true: "leader", false: "standby"}[r.Leads || len(replicas) == 1])
		}
		return err
	}
	if err := s.Build(ctx); err != nil {
		return err
	}
	s.Replicas, s.NoApp = c.Replicas, c.NoApp
	return s.InstallAgent(ctx)
}

func (f labFlags) stage(m *machine) (*stage.Stage, error) {
	dir, err := f.find(m)
	if err != nil {
		return nil, err
	}
	return m.stage(dir, m.out)
}

// allowCommand is the platform owner's word.
type allowCommand struct {
	labFlags
	App          string `arg:"" help:"Name of the app."`
	Repository   string `help:"owner/name." required:""`
	RepositoryID int64  `help:"The repository's number." required:""`
	PublicKey    string `help:"PEM file of a key that may sign besides GitHub." type:"existingfile"`
}

// Run writes the App resource.
func (c *allowCommand) Run(m *machine, ctx *invocation) error {
	s, err := c.stage(m)
	if err != nil {
		return err
	}
	app := stage.App{Name: c.App, Repository: c.Repository, RepositoryID: c.RepositoryID}
	if c.PublicKey != "" {
		key, err := os.ReadFile(c.PublicKey)
		if err != nil {
			return err
		}
		app.PublicKey = string(key)
	}
	return s.AllowApp(ctx, app)
}

// runCommand is a GitHub runner with one step.
type runCommand struct {
	labFlags
	Repository   string            `help:"owner/name." required:""`
	RepositoryID int64             `help:"The repository's number." required:""`
	Ref          string            `help:"Git ref of the push (default: refs/heads/main, or that of the run to run again)."`
	Event        string            `help:"Name of the event (default: push, or that of the run to run again)."`
	PullRequest  int               `help:"Number of the pull request, of the event pull_request."`
	Action       string            `help:"What happened to it, or to a release: opened, synchronize, closed, labeled, published … (default: that of the event)."`
	Label        []string          `help:"Labels that the pull request has; the last one is that of labeled. Of unlabeled, the one that it lost."`
	Fork         bool              `help:"The pull request comes from a fork, whose run may not sign."`
	Merged       bool              `help:"The pull request was merged."`
	Rerun        int64             `help:"Number of a run to run again."`
	NoIDToken    bool              `help:"Leave out the permission id-token: write."`
	NoChecks     bool              `help:"Leave out the permission checks: read."`
	MayReport    bool              `help:"Add the permissions checks: write and pull-requests: write."`
	Input        map[string]string `help:"Inputs of the Action." mapsep:"none"`
	Env          map[string]string `help:"Variables of the step." mapsep:"none"`
	Summary      string            `help:"File for the step's job summary." type:"path"`
	Outputs      string            `help:"File for the step's outputs, one name=value a line, and run, commit and head." type:"path"`
	Command      []string          `arg:"" optional:"" passthrough:"" help:"The step (default: the Action)."`
}

// Run commits what is in the working directory, and runs the workflow on it.
func (c *runCommand) Run(m *machine, ctx *invocation) error {
	s, err := c.stage(m)
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if c.Rerun == 0 {
		if _, err := stage.Commit(ctx, dir, "change"); err != nil {
			return err
		}
	}
	w := stage.Workflow{
		Repository: c.Repository, RepositoryID: c.RepositoryID, Dir: dir, Ref: c.Ref, Event: c.Event, RunID: c.Rerun, NoIDToken: c.NoIDToken, NoChecks: c.NoChecks, MayReport: c.MayReport,
		PullRequest: c.PullRequest, Action: c.Action, Labels: c.Label, Fork: c.Fork, Merged: c.Merged,
		Inputs: c.Input, Env: c.Env, Command: slices.DeleteFunc(c.Command, func(arg string) bool { return arg == "--" }),
	}
	if !c.imageless() {
		if err := s.ImageWithoutBuilder(ctx, &w); err != nil {
			return err
		}
	}
	result, err := s.Run(ctx, w)
	if err != nil {
		return err
	}
	if c.Summary != "" {
		if err := os.WriteFile(c.Summary, []byte(result.Summary), 0o644); err != nil {
			return err
		}
	}
	if c.Outputs != "" {
		var b strings.Builder
		fmt.Fprintf(&b, "run=%d\ncommit=%s\nhead=%s\n", result.RunID, result.Commit, result.Head)
		for _, name := range slices.Sorted(maps.Keys(result.Outputs)) {
			fmt.Fprintf(&b, "%s=%s\n", name, result.Outputs[name])
		}
		if err := os.WriteFile(c.Outputs, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	if result.ExitCode != 0 {
		return commandEnded(result.ExitCode)
	}
	return nil
}

// imageless reports whether the run needs no image of this lab's making.
func (c *runCommand) imageless() bool {
	return c.Input["image"] != "" || c.Input["images"] != "" || c.Input["rollback-to"] != "" || c.Input["mode"] == "build" || c.Input["mode"] == "sign"
}

// checksCommand shows the check runs of a commit.
type checksCommand struct {
	labFlags
	Repository string `help:"owner/name." required:""`
	By         bool   `help:"Tell which App wrote each."`
	Commit     string `arg:"" help:"The commit (default: HEAD of the working directory)." optional:""`
}

// Run waits until every check run of the commit is complete, and prints them.
func (c *checksCommand) Run(m *machine, ctx *invocation) error {
	s, err := c.stage(m)
	if err != nil {
		return err
	}
	if c.Commit == "" {
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		if c.Commit, err = stage.Head(ctx, dir); err != nil {
			return err
		}
	}
	deadline, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		runs, err := s.CheckRuns(deadline, c.Repository, c.Commit)
		if err != nil {
			return err
		}
		if len(runs) > 0 && !slices.ContainsFunc(runs, func(r stage.CheckRun) bool { return r.Status != "completed" }) {
			for _, r := range runs {
				if c.By {
					fmt.Fprintf(m.out, "by %s: ", r.App.Slug)
				}
				fmt.Fprintf(m.out, "%s: %s: %s\n%s\n%s\n", r.Name, r.Conclusion, r.Output.Title, r.Output.Summary, r.Output.Text)
			}
			return nil
		}
		select {
		case <-deadline.Done():
			return fmt.Errorf("commit %s has %d check runs, and not all are complete", c.Commit, len(runs))
		case <-time.After(300 * time.Millisecond):
		}
	}
}
