package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const reportTimeout = 5 * time.Minute // for one check run, waits for rate limits included

// unreported reports whether the check on the commit shows another phase. This
// and the durable status are the outbox.
func (r Release) unreported() bool { return r.Status.Reported.Phase != r.checkPhase() }

// checkPhase is the phase as far as a check run tells phases apart.
func (r Release) checkPhase() Phase {
	switch r.Status.Phase {
	case Pending, "":
		return Pending
	case Applying, RollingOut:
		return RollingOut
	case Restoring, Failed, RolledBack, Succeeded, Superseded:
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

func (a *Agent) reportRelease(ctx context.Context, r Release, environment Environment) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	id, err := a.Checks.Show(ctx, r.check(environment))
	if err != nil {
		return err
	}
	shown := r.checkPhase()
	// Whatever happened to the release meanwhile, this much is reported.
	for {
		r.Status.Timeline = slices.Clone(r.Status.Timeline)
		r.Status.Reported = Reported{Phase: shown, CheckRun: id}
		if shown.Terminal() {
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
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if _, err := a.Checks.Show(ctx, r.check()); err != nil {
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
