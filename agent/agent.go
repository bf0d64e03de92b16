// Package agent is the cluster side: it discovers intents, verifies and admits
// them, deploys them one after the other per app and environment, judges how
// they go, and reports.
//
// Start with Agent.Run, then intake.go (registry to release), request.go (a
// rollback asked for in the cluster to release), rollout.go (release to verdict),
// stage.go (what runs before) and drift.go (what comes after). The rules are
// pure functions that need no fake: Order, Policy.Judge, Judge, JudgeDrift. The
// rest talks to the ports in ports.go; no Kubernetes type and no network client is
// linked here.
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
	Tasks      Tasks
	Cleaner    Cleaner
	Drifts     Drifts
	Witness    Witness
	Requests   Requests
	Requesters Requesters
	Previews   Previews
	Records    PreviewReader
	Namespaces Namespaces
	Tenancies  Tenancies        // nil: no app shares the namespace of its previews
	OpenPulls  OpenPullRequests // nil: previews end by events and time alone
	Spaces     Spaces           // nil: a namespace without a record stays
	Rails      Rails            // nil: guard rails are put up with a deploy alone
	Databases  Databases        // nil: there are none
	Clones     Clones           // nil: databases are empty at first

	// The ways out. Without any of them verdicts are logged and kept in the cluster
	// only.
	Checks       Checks
	Statuses     Statuses
	Receipts     Receipts
	Deployments  Deployments
	Comments     Comments
	PullRequests PullRequests // nil: what is of a pull request is reported on the commit that was deployed

	Meter  Meter  // nil: nobody counts
	Pulse  Pulse  // nil: nobody watches
	Sweeps Sweeps // nil: nobody counts
}

// Config is what the agent is told at its start.
type Config struct {
	PollInterval  time.Duration // between two looks at a registry; 0: by the number of apps, see pollInterval
	SweepInterval time.Duration // between two looks at previews; 0: DefaultSweepInterval
	ServerURL     string        // GitHub's web address, for links; empty: DefaultServerURL
	Now           func() time.Time
	Logger        *slog.Logger
}

// Agent is the loop. Make it with New and run it once.
type Agent struct {
	Ports
	config   Config
	log      *slog.Logger
	lines    *turns[Line]
	requests *turns[Line]
	sweeps   *turns[swept]
	reports  *turns[target]
	ways     []Way
	slots    map[Way]chan struct{} // one for each report that is under way
	due      chan Line             // lines whose alarm has gone off
	memory   *sweepMemory

	mu       sync.Mutex
	seen     map[string]time.Time     // tags that wait for a key, by when they were first seen
	spurned  map[string]bool          // tags that were refused and leave no mark, "app tag"
	threads  map[string]chan struct{} // of groups: who holds one shows the comment
	greens   map[target]string        // intents for which a way is being turned green
	heads    map[head]bool            // commits that belong to their pull request, as GitHub says
	doubted  map[head]time.Time       // those that do not, by when that was first said
	numbers  map[string]int64         // of receipts, by intent: the last one that is known to be another's
	unheard  map[string]refused       // apps whose receipts the registry refuses
	failing  map[Line]failure         // releases whose objects could not be written, by when that was first seen
	watched  map[Line]bool            // lines whose turn is at their drift
	razed    map[Line]bool            // lines whose turn is at taking their preview away
	alarms   map[Line]*time.Timer     // when to look at a line's drift again
	policies map[Line]lineWord        // as of the last look at the Apps
}

// New is an agent over the given ports.
func New(ports Ports, config Config) *Agent {
	if ports.Meter == nil {
		ports.Meter = unmetered{}
	}
	if ports.Pulse == nil {
		ports.Pulse = unmetered{}
	}
	if ports.Records == nil {
		ports.Records = noPreviews{}
	}
	slots := map[Way]chan struct{}{}
	for _, way := range ports.Ways() {
		slots[way] = make(chan struct{}, reportsAtOnce)
	}
	return &Agent{
		Ports: ports, config: config, log: config.Logger, ways: ports.Ways(), slots: slots, threads: map[string]chan struct{}{}, greens: map[target]string{}, heads: map[head]bool{}, doubted: map[head]time.Time{},
		seen: map[string]time.Time{}, spurned: map[string]bool{}, unheard: map[string]refused{}, numbers: map[string]int64{}, failing: map[Line]failure{},
		watched: map[Line]bool{}, razed: map[Line]bool{}, alarms: map[Line]*time.Timer{}, due: make(chan Line), memory: newSweepMemory(), policies: map[Line]lineWord{},
	}
}

// Run works until ctx ends: every step that is under way stops at a point from
// where the next agent goes on. Only the leader may run.
func (a *Agent) Run(ctx context.Context) error {
	a.lines = newTurns(ctx, a.reconcile, func(l Line, err error, wait time.Duration) {
		a.log.Warn("deploying again after an error", "environment", l.Environment, "name", l.App, "error", err, "duration", wait)
	})
	a.reports = newTurns(ctx, a.report, func(to target, err error, wait time.Duration) {
		a.log.Warn("reporting again after an error", "kind", to.way, "name", to.app, "repository", to.repository, "error", err, "duration", wait)
	})
	a.requests = newTurns(ctx, a.takeRequests, func(l Line, err error, wait time.Duration) {
		a.log.Error("looking at rollbacks again after an error", "environment", l.Environment, "name", l.App, "error", err, "duration", wait)
	})
	a.sweeps = newTurns(ctx, a.sweep, func(s swept, err error, wait time.Duration) {
		a.log.Warn("looking at previews again after an error", "name", s.app, "repository", s.repository, "error", err, "duration", wait)
	})
	watched := newTurns(ctx, a.poll, func(app string, err error, wait time.Duration) {
		a.log.Error("polling again after an error", "name", app, "error", err, "duration", wait)
	})
	defer func() {
		watched.wait()
		a.sweeps.wait()
		a.requests.wait()
		a.lines.wait()
		a.reports.wait()
	}()
	sweep := time.After(0)
	for {
		a.Pulse.Beat()
		apps := a.Apps.Apps()
		a.declare(apps)
		for _, app := range apps {
			watched.wake(app.Name, false)
		}
		for _, r := range a.Requests.Requests() { // those from before this agent's time
			a.requests.remind(r.Line) // what failed is tried again at its own pace
		}
		tick := time.After(a.pollInterval(len(apps)))
		for polled := false; !polled; {
			select {
			case <-ctx.Done():
				return nil
			case line, open := <-a.Reader.Changed():
				if !open {
					return errors.New("watching releases: the cache was closed")
				}
				a.requests.wake(line, false)
				a.lines.wake(line, a.overtaken(line))
				a.wakeReports(line)
			case <-sweep:
				a.sweepAll()
				sweep = time.After(a.sweepInterval())
			case line := <-a.due:
				a.lines.wake(line, false)
			case <-tick:
				polled = true
			}
		}
	}
}

// SlowestPoll is the longest interval that the agent chooses by itself.
const SlowestPoll = 5 * time.Second

// The other bounds of polling when no interval is set. Each App is one list call,
// so that a few are heard within a second, and many ask no more than two a second
// until the slowest pace is reached.
const (
	fastestPoll = time.Second
	pollPerApp  = 500 * time.Millisecond
)

// pollInterval is the time between two looks at the registry of each of apps.
func (a *Agent) pollInterval(apps int) time.Duration {
	if a.config.PollInterval > 0 {
		return a.config.PollInterval
	}
	return min(max(time.Duration(apps)*pollPerApp, fastestPoll), SlowestPoll)
}

// overtaken reports whether what the line's turn is at has to make way. That is so
// for a look at its drift as soon as a release is under way, and for a rollout
// when a second one is, but for a running predeploy or seed. All of it makes way for the
// end of a preview.
func (a *Agent) overtaken(line Line) bool {
	a.mu.Lock()
	allowed, razed := 1, a.razed[line]
	if a.watched[line] {
		allowed = 0
	}
	a.mu.Unlock()
	if p, found := a.Records.Preview(line); found && p.Phase == PreviewDestroying {
		return !razed
	}
	open := 0
	for _, r := range a.Reader.Releases(line) {
		if r.commands() {
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
