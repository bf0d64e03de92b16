package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// reportTimeout is for one check run, or what stands for one: two requests with
	// their retries, of 10 s each try. What takes longer hangs.
	reportTimeout = time.Minute

	// reportsAtOnce is how many reports of one way are under way at the same time.
	// One that hangs takes part of one of them, so that it takes dozens of dead
	// repositories to slow the others down, and those of other ways are not at all.
	// GitHub allows 100 requests at once, and there are four ways to it.
	//
	// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
	reportsAtOnce = 16

	// reportAge is when GitHub itself gives a check run up that is not completed.
	//
	// https://docs.github.com/en/rest/guides/using-the-rest-api-to-interact-with-checks
	reportAge = 14 * 24 * time.Hour

	// permitAge is for how long a deployment or a comment is tried that is not
	// permitted: an App that was made without that right goes on without them.
	permitAge = time.Hour
)

// target is what reports take turns by: one that is stuck delays no other.
type target struct {
	app        string
	repository string // owner/name on GitHub
	way        Way
}

func (r Release) target(way Way) target { return target{r.Line.App, r.Source.Repository, way} }
func (r Refusal) target(way Way) target { return target{r.Line.App, r.Repository, way} }

// wakeReports gives every target of the line that is out of step a turn. What is
// being turned green for a commit which no longer serves is interrupted.
func (a *Agent) wakeReports(line Line) {
	if p, found := a.Records.Preview(line); found {
		a.wakePreviewReports(p)
	}
	releases := a.reportable(line)
	for _, r := range releases {
		for _, way := range a.ways {
			if now := r.late(way, releases); now.due(way, a.now()) {
				a.reports.wake(r.target(way), now.Status.Phase != Succeeded && a.isGreening(r, way))
			}
		}
	}
}

// remind gives every target of the app that is out of step a turn, at every look
// at the app: nothing else tells when a word is due that was not, or that an app
// is back which was gone when it was.
func (a *Agent) remind(app App) {
	for _, way := range a.ways {
		for _, r := range app.Status.Refusals {
			if r.Unreported(way) {
				a.reports.remind(r.target(way))
			}
		}
		for _, p := range app.Previews {
			for _, to := range p.targets(way, a.now()) {
				a.reports.remind(to)
			}
		}
		for _, environment := range app.Environments {
			releases := a.reportable(Line{App: app.Name, Environment: environment.Name})
			for _, r := range releases {
				if r.late(way, releases).due(way, a.now()) {
					a.reports.remind(r.target(way))
				}
			}
		}
	}
}

// greening notes that the way is turning green for r, until the result is called.
// One target does one thing at a time.
func (a *Agent) greening(r Release, way Way) (done func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.greens[r.target(way)] = r.Intent
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.greens, r.target(way))
	}
}

func (a *Agent) isGreening(r Release, way Way) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.greens[r.target(way)] == r.Intent
}

// telling is one thing to report.
type telling func(context.Context) error

// report brings one target in step with what is durable. It runs at least once per
// change; what each way finds again makes it idempotent.
func (a *Agent) report(ctx context.Context, to target) error {
	app, found := a.app(to.app)
	if !found || !slices.Contains(a.ways, to.way) {
		return nil
	}
	queues := a.queues(app, to)
	// In any order: what hangs must not be in the way of the others every time.
	rand.Shuffle(len(queues), func(i, j int) { queues[i], queues[j] = queues[j], queues[i] }) //nolint:gosec // because an order is no secret
	var failures []error
	for _, queue := range queues {
		for _, do := range queue {
			err := a.inSlot(ctx, to.way, do)
			failures = append(failures, err)
			if errors.Is(err, context.DeadlineExceeded) { // it hangs: the rest would too
				return errors.Join(failures...)
			}
			if err != nil {
				break
			}
		}
	}
	return errors.Join(failures...)
}

// queues is what the target is to be told. The jobs of one queue come in their
// order, and none after one that failed.
func (a *Agent) queues(app App, to target) [][]telling {
	var queues [][]telling
	if to.way == WayComment {
		for _, number := range a.uncommented(app, to) {
			queues = append(queues, []telling{func(ctx context.Context) error { return a.reportComment(ctx, app, to, number) }})
		}
		return queues
	}
	for _, environment := range app.Environments {
		var line []telling
		releases := a.reportable(Line{App: to.app, Environment: environment.Name})
		for _, r := range releases {
			if r.target(to.way) == to && r.late(to.way, releases).due(to.way, a.now()) {
				line = append(line, func(ctx context.Context) error { return a.reportRelease(ctx, r, to.way, environment) })
			}
		}
		if to.way == WayDeployment { // the newest has to be the one that GitHub made last
			queues = append(queues, line)
			continue
		}
		for _, do := range line {
			queues = append(queues, []telling{do})
		}
	}
	for _, p := range app.Previews {
		queues = append(queues, a.previewQueues(p, to)...)
	}
	for _, r := range app.Status.Refusals {
		if r.target(to.way) == to && r.Unreported(to.way) {
			queues = append(queues, []telling{func(ctx context.Context) error { return a.reportRefusal(ctx, r, to.way) }})
		}
	}
	return queues
}

// inSlot does one report of the way once fewer than reportsAtOnce are under way.
func (a *Agent) inSlot(ctx context.Context, way Way, do telling) error {
	slots := a.slots[way]
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-slots }()
	return do(ctx)
}

// show makes the way show m. What can never be shown is logged once and given up:
// it counts as reported, though it is not shown.
func (a *Agent) show(ctx context.Context, m *message) (id int64, shown bool, err error) {
	showCtx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	id, err = a.say(showCtx, m)
	age, patience := a.now().Sub(m.since), reportAge
	if errors.Is(err, ErrNotPermitted) && !m.way.waited() {
		patience = permitAge
	}
	hopeless := errors.Is(err, ErrNoCommit) || age >= patience
	if err != nil && hopeless && ctx.Err() == nil {
		a.log.Warn("giving up on a report", "kind", m.way, "environment", m.line.Environment, "name", m.line.App,
			"repository", m.repository, "commit", m.commit, "error", err)
		return m.id, false, nil
	}
	return id, err == nil, err
}

// reportRelease has the way show r as it is, and writes down that it did.
func (a *Agent) reportRelease(ctx context.Context, r Release, way Way, environment Environment) error {
	for {
		releases := a.Reader.Releases(r.Line)
		now := r.late(way, releases)
		done := func() {}
		if now.Status.Phase == Succeeded {
			done = a.greening(r, way)
		}
		m := now.message(way, a.view(environment, releases))
		id, shown, err := a.show(ctx, m)
		done()
		if err != nil {
			return fmt.Errorf("reporting release %d of %s as a %s: %w", r.Number, r.Line, way, err)
		}
		r.Status.ReportedOn = m.head
		reported := now.shows(way)
		if r.late(way, a.Reader.Releases(r.Line)).shows(way) == reported {
			reported.ID = id
			return a.recordReport(ctx, r, reported, shown)
		}
		before := r.Status.Shown(way) // overtaken while it was being turned green
		before.ID = id
		r.Status.report(before)
	}
}

// recordReport makes durable what a way shows of r, or would if it could be shown.
func (a *Agent) recordReport(ctx context.Context, r Release, reported Reported, shown bool) error {
	on := r.Status.ReportedOn
	if r.Removed {
		return a.recordRemains(ctx, r, reported)
	}
	if r.Parked {
		return a.recordParked(ctx, r, reported, shown)
	}
	// Whatever happened to the release meanwhile, this much is reported.
	for {
		was := r.Status
		r.Status.Timeline = slices.Clone(r.Status.Timeline)
		r.Status.report(reported)
		r.Status.ReportedOn = orElse(r.Status.ReportedOn, on)
		if shown && reported.Phase.Terminal() && reported.Way == a.ways[0] {
			r.Status.Reach(StepReported, a.now())
		}
		_, err := a.Releases.UpdateRelease(ctx, r)
		if err == nil {
			a.Meter.Moved(r, was)
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return fmt.Errorf("writing that release %d of %s is reported: %w", r.Number, r.Line, err)
		}
		if r, err = a.reread(ctx, r); err != nil {
			return err
		}
	}
}

func (a *Agent) reportRefusal(ctx context.Context, r Refusal, way Way) error {
	if _, _, err := a.show(ctx, r.message(way, a.view(Environment{Name: r.Line.Environment}, nil))); err != nil {
		return fmt.Errorf("reporting the refusal of %s as a %s: %w", r.Tag, way, err)
	}
	return a.Apps.UpdateApp(ctx, r.Line.App, func(s *AppStatus) {
		for i := range s.Refusals {
			if s.Refusals[i].Tag == r.Tag && !slices.Contains(s.Refusals[i].Reported, way) {
				s.Refusals[i].Reported = append(slices.Clone(s.Refusals[i].Reported), way)
			}
		}
	})
}
