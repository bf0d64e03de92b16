package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	reportTimeout = 5 * time.Minute // for one check run, waits for rate limits included

	// reportAge is when GitHub itself gives a check run up that is not completed.
	//
	// https://docs.github.com/en/rest/guides/using-the-rest-api-to-interact-with-checks
	reportAge = 14 * 24 * time.Hour
)

// unreported reports whether the check on the commit shows another phase, and
// nobody has given up on that. This and the durable status are the outbox.
func (r Release) unreported() bool { return r.Status.Reported.Phase != r.checkPhase() }

// waitingPhase is what a check run shows of a rollout that waits out of the
// ordinary; no release has it as its phase.
const waitingPhase = "Waiting"

// checkPhase is the phase as far as a check run tells phases apart. While the last
// good release is put back, the check goes on showing what it did: that takes a
// moment, and GitHub wants one between two writes, so a word of it would only
// make the red one late.
func (r Release) checkPhase() Phase {
	if r.waits() {
		return waitingPhase
	}
	switch r.Status.Phase {
	case Pending, "":
		return Pending
	case Applying, RollingOut:
		return RollingOut
	case Restoring:
		return r.Status.Reported.Phase
	case Predeploying, Failed, RolledBack, Succeeded, Superseded:
	}
	return r.Status.Phase
}

func (r Refusal) unreported() bool { return r.Repository != "" && !r.Reported }

// report brings every check run of the app in step with what is durable. It
// runs at least once per change; the check run's external ID makes it
// idempotent.
func (a *Agent) report(ctx context.Context, name string) error {
	app, found := a.app(name)
	if !found || a.Checks == nil {
		return nil
	}
	var failures []error
	for _, environment := range app.Environments {
		for _, r := range a.Reader.Releases(Line{App: name, Environment: environment.Name}) {
			if !r.unreported() {
				continue
			}
			if err := a.reportRelease(ctx, r, environment); err != nil {
				failures = append(failures, fmt.Errorf("reporting release %d of %s: %w", r.Number, r.Line, err))
			}
		}
	}
	for _, r := range app.Status.Refusals {
		if !r.unreported() {
			continue
		}
		if err := a.reportRefusal(ctx, r); err != nil {
			failures = append(failures, fmt.Errorf("reporting the refusal of %s: %w", r.Tag, err))
		}
	}
	return errors.Join(failures...)
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

func (a *Agent) reportRelease(ctx context.Context, r Release, environment Environment) error {
	id, shown, err := a.show(ctx, r.Line, r.check(environment, a.Apps.Apps()), r.IssuedAt)
	if err != nil {
		return err
	}
	phase := r.checkPhase()
	// Whatever happened to the release meanwhile, this much is reported.
	for {
		r.Status.Timeline = slices.Clone(r.Status.Timeline)
		r.Status.Reported = Reported{Phase: phase, CheckRun: id}
		if shown && phase.Terminal() {
			r.Status.Reach(StepReported, a.now())
		}
		_, err := a.Releases.UpdateRelease(ctx, r)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if r, err = a.reread(ctx, r); err != nil {
			return err
		}
	}
}

func (a *Agent) reportRefusal(ctx context.Context, r Refusal) error {
	if _, _, err := a.show(ctx, r.Line, r.check(a.Apps.Apps()), r.At); err != nil {
		return err
	}
	return a.Apps.UpdateApp(ctx, r.Line.App, func(s *AppStatus) {
		for i := range s.Refusals {
			if s.Refusals[i].Tag == r.Tag {
				s.Refusals[i].Reported = true
			}
		}
	})
}
