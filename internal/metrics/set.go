package metrics

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/inhaul/inhaul/agent"
)

// stepBuckets and changeBuckets are upper bounds in seconds: of a step of a deploy, which is told by tenths of seconds
// and given up after 15 minutes; of a change on its way, which is told by minutes and may take days.
func stepBuckets() []float64 {
	return []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900}
}

func changeBuckets() []float64 {
	return []float64{15, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400, 604800}
}

// Config says what a Set reads.
type Config struct {
	Apps     agent.Apps
	Releases agent.ReleaseReader
	Previews agent.PreviewReader // nil: there are none
	Ways     []agent.Way         // out, by which anything is reported
	Poll     time.Duration       // the loop beats at least this often
	Now      func() time.Time
}

// Set is all that is counted. It is safe for concurrent use.
type Set struct {
	config Config

	mu        sync.Mutex
	steps     *family
	verdicts  *family
	refusals  *family
	lead      *family
	restore   *family
	polls     *family
	requests  *family
	limits    *family
	limitWait *family

	leading bool
	beat    time.Time           // of the loop, or when it began
	moves   int                 // in all
	orphans int                 // namespaces of previews without a record, at the last look
	idle    map[agent.Line]bool // lines that had no backlog when they were read, and have not moved since
}

// New is a Set that has counted nothing.
func New(config Config) *Set {
	return &Set{
		config:    config,
		idle:      map[agent.Line]bool{},
		steps:     newFamily("inhaul_step_seconds", "Time from the step before to this one, of a release.", stepBuckets(), "step"),
		verdicts:  newFamily("inhaul_verdicts_total", "Releases that ended, by how, why they failed and why they were admitted.", nil, "app", "environment", "phase", "cause", "reason"),
		refusals:  newFamily("inhaul_refusals_total", "Intents that were not admitted, by the class of the rule.", nil, "app", "rule"),
		lead:      newFamily("inhaul_lead_time_seconds", "Time from a change's event to its release being live.", changeBuckets(), "app", "environment"),
		restore:   newFamily("inhaul_restore_seconds", "Time from the first failed verdict of a line to its next success.", changeBuckets(), "app", "environment"),
		polls:     newFamily("inhaul_polls_total", "Looks at an app's registry, by how they ended.", nil, "app", "outcome"),
		requests:  newFamily("inhaul_github_requests_total", "Requests to GitHub's API, by the class of the answer.", nil, "status"),
		limits:    newFamily("inhaul_github_rate_limits_total", "Answers of GitHub that were a rate limit.", nil),
		limitWait: newFamily("inhaul_github_rate_limit_seconds_total", "Time that GitHub asked to wait in all.", nil),
	}
}

var (
	_ agent.Meter  = (*Set)(nil)
	_ agent.Pulse  = (*Set)(nil)
	_ agent.Sweeps = (*Set)(nil)
)

// Moved counts what a write made durable: the steps that it added, and the verdict that it was.
func (s *Set) Moved(r agent.Release, was agent.Status) {
	var restored time.Duration
	ended := r.Status.Phase.Terminal() && !was.Phase.Terminal()
	if ended && r.Status.Phase == agent.Succeeded {
		restored = agent.RestoredAfter(r, s.config.Releases.Releases(r.Line))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moves++
	delete(s.idle, r.Line)
	for i, m := range r.Status.Timeline {
		if i > 0 && was.At(m.Step).IsZero() {
			s.steps.observe(m.At.Sub(r.Status.Timeline[i-1].At), string(m.Step))
		}
	}
	if !ended {
		return
	}
	cause := ""
	if r.Status.Cause != nil {
		cause = string(r.Status.Cause.Kind)
	}
	s.verdicts.add(1, r.Line.App, r.Line.Environment, string(r.Status.Phase), cause, string(r.Reason))
	if r.Status.Phase != agent.Succeeded {
		return
	}
	if r.Reason == agent.ReasonNewest && !r.Source.EventAt.IsZero() { // what is deployed again is no change
		s.lead.observe(r.Status.At(agent.StepVerdict).Sub(r.Source.EventAt), r.Line.App, r.Line.Environment)
	}
	if restored > 0 {
		s.restore.observe(restored, r.Line.App, r.Line.Environment)
	}
}

// Refused counts a refusal by the class of its rule: "policy" of "policy: ref".
func (s *Set) Refused(r agent.Refusal) {
	class, _, _ := strings.Cut(r.Rule, ":")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals.add(1, r.Line.App, class)
}

// Polled counts a look at an app's registry.
func (s *Set) Polled(app string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polls.add(1, app, outcome)
}

// Answered counts an answer of GitHub; 0 is none.
func (s *Set) Answered(status int) {
	class := "none"
	if status >= 100 {
		class = strconv.Itoa(status/100) + "xx"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.add(1, class)
}

// Limited counts a rate limit of GitHub.
func (s *Set) Limited(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.add(1)
	s.limitWait.add(wait.Seconds())
}

// Swept notes how many namespaces of previews have no record.
func (s *Set) Swept(orphans int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orphans = orphans
}

// Beat notes that the loop lives.
func (s *Set) Beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat = s.config.Now()
}

// Lead notes that this process leads from now on, until the result is called.
func (s *Set) Lead() (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leading, s.beat = true, s.config.Now()
	clear(s.idle) // somebody else wrote meanwhile
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.leading, s.orphans = false, 0
	}
}

// patience is how many poll intervals, and how long besides, the loop may be silent: a machine may be busy.
const (
	patienceBeats = 3
	patience      = time.Minute
)

// Stalled is for how long the loop of a leading process has been silent, if that is too long; else zero. A process that
// does not lead has no loop.
func (s *Set) Stalled() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if silent := s.config.Now().Sub(s.beat); s.leading && silent > patienceBeats*s.config.Poll+patience {
		return silent
	}
	return 0
}
