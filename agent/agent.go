// Package agent is the cluster side: it discovers intents, verifies and admits
// them, deploys them one after the other per app and environment, judges how
// they go, and reports.
//
// Start with Agent.Run, then intake.go (registry to release), rollout.go
// (release to verdict), predeploy.go (what runs before) and drift.go (what comes
// after). The rules are pure functions that need no fake: Order, Policy.Judge,
// Judge, JudgeDrift. The rest talks to the ports in ports.go; no Kubernetes
// type and no network client is linked here.
//
// Everything is level-triggered: state lives in the cluster, each step is
// decided from it and may run twice, so the agent can be killed anywhere.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Ports are the agent's ways out.
type Ports struct {
	Registry   Registry
	Keys       Keys
	Apps       Apps
	Releases   Releases
	Reader     ReleaseReader
	Planner    Planner
	Cluster    Cluster
	Predeploys Predeploys
	Cleaner    Cleaner
	Drifts     Drifts
	Witness    Witness
	Checks     Checks // nil: verdicts are logged and kept in the cluster only
}

// Config is what the agent is told at its start.
type Config struct {
	PollInterval time.Duration // between two looks at a registry
	Now          func() time.Time
	Logger       *slog.Logger
}

// Agent is the loop. Make it with New and run it once.
type Agent struct {
	Ports
	config  Config
	log     *slog.Logger
	lines   *turns[Line]
	reports *turns[string] // by app
	due     chan Line      // lines whose alarm has gone off

	mu       sync.Mutex
	seen     map[string]time.Time // tags that wait for a key, by when they were first seen
	spurned  map[string]bool      // tags that were refused and leave no mark, "app tag"
	failing  map[Line]failure     // releases whose objects could not be written, by when that was first seen
	watched  map[Line]bool        // lines whose turn is at their drift
	alarms   map[Line]*time.Timer // when to look at a line's drift again
	policies map[Line]DriftPolicy // as of the last look at the Apps
}

// New is an agent over the given ports.
func New(ports Ports, config Config) *Agent {
	return &Agent{
		Ports: ports, config: config, log: config.Logger,
		seen: map[string]time.Time{}, spurned: map[string]bool{}, failing: map[Line]failure{},
		watched: map[Line]bool{}, alarms: map[Line]*time.Timer{}, due: make(chan Line), policies: map[Line]DriftPolicy{},
	}
}

// Run works until ctx ends: every step that is under way stops at a point from
// where the next agent goes on. Only the leader may run.
func (a *Agent) Run(ctx context.Context) error {
	a.lines = newTurns(ctx, a.reconcile, func(l Line, err error, wait time.Duration) {
		a.log.Warn("deploying again after an error", "environment", l.Environment, "name", l.App, "error", err, "duration", wait)
	})
	a.reports = newTurns(ctx, a.report, func(app string, err error, wait time.Duration) {
		a.log.Warn("reporting again after an error", "name", app, "error", err, "duration", wait)
	})
	watched := newTurns(ctx, a.watchApp, func(app string, err error, wait time.Duration) {
		a.log.Error("polling again after an error", "name", app, "error", err, "duration", wait)
	})
	defer func() {
		watched.wait()
		a.lines.wait()
		a.reports.wait()
	}()
	tick := time.NewTicker(a.config.PollInterval)
	defer tick.Stop()
	resumed := map[string]bool{}
	for {
		for _, app := range a.Apps.Apps() {
			if !resumed[app.Name] {
				resumed[app.Name] = true
				a.resume(app)
			}
			a.notePolicies(app)
			watched.wake(app.Name, false)
		}
		for polled := false; !polled; {
			select {
			case <-ctx.Done():
				return nil
			case line, open := <-a.Reader.Changed():
				if !open {
					return errors.New("watching releases: the cache was closed")
				}
				a.lines.wake(line, a.overtaken(line))
				a.reports.wake(line.App, false)
			case line := <-a.due:
				a.lines.wake(line, false)
			case <-tick.C:
				polled = true
			}
		}
	}
}

// resume gives every line of the app a turn after a start.
func (a *Agent) resume(app App) {
	for _, environment := range app.Environments {
		a.lines.wake(Line{App: app.Name, Environment: environment.Name}, false)
	}
	a.reports.wake(app.Name, false)
}

// overtaken reports whether what the line's turn is at has to make way. That is so
// for a look at its drift as soon as a release is under way, and for a rollout
// when a second one is, but for a running predeploy.
func (a *Agent) overtaken(line Line) bool {
	a.mu.Lock()
	allowed := 1
	if a.watched[line] {
		allowed = 0
	}
	a.mu.Unlock()
	open := 0
	for _, r := range a.Reader.Releases(line) {
		if r.Status.Phase == Predeploying {
			return false
		}
		if !r.Status.Phase.Terminal() {
			open++
		}
	}
	return open > allowed
}

// now is the agent's clock, in UTC.
func (a *Agent) now() time.Time { return a.config.Now().UTC() }
