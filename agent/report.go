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
	// reportTimeout is for one check run: two requests with their retries, of 10 s
	// each try. What takes longer hangs.
	reportTimeout = time.Minute

	// reportsAtOnce is how many check runs are being written at the same time. One
	// that hangs takes part of one of them, so that it takes dozens of dead
	// repositories to slow the others down. GitHub allows 100 requests at once.
	//
	// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
	reportsAtOnce = 16

	// reportAge is when GitHub itself gives a check run up that is not completed.
	//
	// https://docs.github.com/en/rest/guides/using-the-rest-api-to-interact-with-checks
	reportAge = 14 * 24 * time.Hour
)

// target is what reports take turns by: one that is stuck delays no other.
type target struct {
	app        string
	repository string // owner/name on GitHub
}

func (r Release) target() target { return target{r.Line.App, r.Source.Repository} }
func (r Refusal) target() target { return target{r.Line.App, r.Repository} }

// unreported reports whether the check on the commit shows another phase, and
// nobody has given up on that. This and the durable status are the outbox. What
// has succeeded is asked for as late shows it.
func (r Release) unreported() bool { return r.Status.Reported.Phase != r.checkPhase() }

// waitingPhase is what a check run shows of a rollout that waits out of the
// ordinary; no release has it as its phase.
const waitingPhase = "Waiting"

// quietTime is how long a check says nothing of a release that is put back. That
// takes a moment, and GitHub wants one between two writes, so that a word of it
// would only make the red one late. What takes longer may last for applyDeadline.
const quietTime = 5 * time.Second

// due reports whether the check on the commit is to be brought in step now.
func (r Release) due(now time.Time) bool {
	verdict := r.Status.At(StepVerdict)
	quiet := r.Status.Phase == Restoring && !now.Before(verdict) && now.Before(verdict.Add(quietTime))
	return r.unreported() && !quiet
}

// checkPhase is the phase as far as a check run tells phases apart.
func (r Release) checkPhase() Phase {
	if r.waits() {
		return waitingPhase
	}
	switch r.Status.Phase {
	case Pending, "":
		return Pending
	case Applying, RollingOut:
		return RollingOut
	case Predeploying, Restoring, Failed, RolledBack, Succeeded, Superseded:
	}
	return r.Status.Phase
}

// late is r as a check may show it now, where releases are all of its line. A
// check turns green while its commit serves, or never: what has succeeded unsaid,
// and has been overtaken by another success since, is shown as superseded. What
// is green already stays so.
func (r Release) late(releases []Release) Release {
	if r.Status.Phase != Succeeded || r.Status.Reported.Phase == Succeeded {
		return r
	}
	i := slices.IndexFunc(releases, func(other Release) bool { return other.Number > r.Number && other.Status.Phase == Succeeded })
	if i < 0 {
		return r
	}
	by := releases[i].deployed(releases)
	lived := releases[i].Status.At(StepVerdict).Sub(r.Status.At(StepVerdict)).Round(100 * time.Millisecond)
	r.Status.Phase, r.Status.SupersededBy = Superseded, by
	r.Status.Message = fmt.Sprintf("Was live for %s, then superseded by %s", lived, short(by))
	return r
}

func (r Refusal) unreported() bool { return r.Repository != "" && !r.Reported }

// wakeReports gives every target of the line that is out of step a turn. A check
// that is being turned green for a commit which no longer serves is interrupted.
func (a *Agent) wakeReports(line Line) {
	releases := a.Reader.Releases(line)
	for _, r := range releases {
		if now := r.late(releases); now.due(a.now()) {
			a.reports.wake(r.target(), now.Status.Phase != Succeeded && a.isGreening(r))
		}
	}
}

// remind gives every target of the app that is out of step a turn, at every look
// at the app: nothing else tells when a word is due that was not, or that an app
// is back which was gone when it was.
func (a *Agent) remind(app App) {
	for _, r := range app.Status.Refusals {
		if r.unreported() {
			a.reports.remind(r.target())
		}
	}
	if a.Checks == nil {
		return // all are out of step, and stay so
	}
	for _, environment := range app.Environments {
		releases := a.Reader.Releases(Line{App: app.Name, Environment: environment.Name})
		for _, r := range releases {
			if r.late(releases).due(a.now()) {
				a.reports.remind(r.target())
			}
		}
	}
}

// greening notes that the check of r is being turned green, until the result is
// called. One target does one thing at a time.
func (a *Agent) greening(r Release) (done func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.greens[r.target()] = r.Intent
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.greens, r.target())
	}
}

func (a *Agent) isGreening(r Release) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.greens[r.target()] == r.Intent
}

// report brings the check runs of one target in step with what is durable. It
// runs at least once per change; the check run's external ID makes it idempotent.
func (a *Agent) report(ctx context.Context, to target) error {
	app, found := a.app(to.app)
	if !found || a.Checks == nil {
		return nil
	}
	var due []func(context.Context) error
	for _, environment := range app.Environments {
		releases := a.Reader.Releases(Line{App: to.app, Environment: environment.Name})
		for _, r := range releases {
			if r.target() == to && r.late(releases).due(a.now()) {
				due = append(due, func(ctx context.Context) error { return a.reportRelease(ctx, r, environment) })
			}
		}
	}
	for _, r := range app.Status.Refusals {
		if r.target() == to && r.unreported() {
			due = append(due, func(ctx context.Context) error { return a.reportRefusal(ctx, r) })
		}
	}
	// In any order: what hangs must not be in the way of the others every time.
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] }) //nolint:gosec // because an order is no secret
	var failures []error
	for _, do := range due {
		err := a.inSlot(ctx, do)
		failures = append(failures, err)
		if errors.Is(err, context.DeadlineExceeded) { // it hangs: the rest would too
			break
		}
	}
	return errors.Join(failures...)
}

// inSlot does one report once fewer than reportsAtOnce are under way.
func (a *Agent) inSlot(ctx context.Context, do func(context.Context) error) error {
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.slots }()
	return do(ctx)
}

// show makes the check run look like check, which is about something of the time
// since. What can never be shown is logged once and given up: it counts as
// reported, though it is not shown.
func (a *Agent) show(ctx context.Context, line Line, check Check, since time.Time) (id int64, shown bool, err error) {
	showCtx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	id, err = a.Checks.Show(showCtx, check)
	hopeless := errors.Is(err, ErrNoCommit) || a.now().Sub(since) >= reportAge
	if err != nil && hopeless && ctx.Err() == nil {
		a.log.Warn("giving up on a check", "environment", line.Environment, "name", line.App,
			"repository", check.Repository, "commit", check.Commit, "error", err)
		return check.ID, false, nil
	}
	return id, err == nil, err
}

// reportRelease shows r as it is, and writes down that it did.
func (a *Agent) reportRelease(ctx context.Context, r Release, environment Environment) error {
	for {
		releases := a.Reader.Releases(r.Line)
		now := r.late(releases)
		done := func() {}
		if now.Status.Phase == Succeeded {
			done = a.greening(r)
		}
		id, shown, err := a.show(ctx, r.Line, now.check(a.view(environment, releases)), r.IssuedAt)
		done()
		if err != nil {
			return fmt.Errorf("reporting release %d of %s: %w", r.Number, r.Line, err)
		}
		if phase := now.checkPhase(); r.late(a.Reader.Releases(r.Line)).checkPhase() == phase {
			return a.recordReport(ctx, r, Reported{Phase: phase, CheckRun: id}, shown)
		}
		r.Status.Reported.CheckRun = id // overtaken while it was being turned green
	}
}

// recordReport makes durable what the check of r shows, or would if it could be
// shown.
func (a *Agent) recordReport(ctx context.Context, r Release, reported Reported, shown bool) error {
	// Whatever happened to the release meanwhile, this much is reported.
	for {
		was := r.Status
		r.Status.Timeline = slices.Clone(r.Status.Timeline)
		r.Status.Reported = reported
		if shown && reported.Phase.Terminal() {
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

func (a *Agent) reportRefusal(ctx context.Context, r Refusal) error {
	if _, _, err := a.show(ctx, r.Line, r.check(view{Apps: a.Apps.Apps(), Now: a.now(), ServerURL: a.config.ServerURL}), r.At); err != nil {
		return fmt.Errorf("reporting the refusal of %s: %w", r.Tag, err)
	}
	return a.Apps.UpdateApp(ctx, r.Line.App, func(s *AppStatus) {
		for i := range s.Refusals {
			if s.Refusals[i].Tag == r.Tag {
				s.Refusals[i].Reported = true
			}
		}
	})
}
