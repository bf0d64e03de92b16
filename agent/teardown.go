package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/inhaul/inhaul/spec"
)

const (
	// defaultTeardown is how long a teardown command has where the platform owner's
	// word is not there any more; as in the App's schema.
	defaultTeardown = 30 * time.Second

	// teardownRetry is between two tries to start a teardown; there is little time.
	teardownRetry = time.Second
)

// tearDown runs the teardown command of a preview that ends, and returns once that
// has ended, or cannot begin, or its time is over: nothing that comes of it keeps the
// preview from going. Only trouble with making that durable is an error.
//
// The time is counted from the moment at which the end was admitted, which is on
// record: an agent that dies again and again cannot prolong it. The Job has a name
// of the preview, so it is made once, whoever goes on with it.
func (a *Agent) tearDown(ctx context.Context, p Preview) (Preview, error) {
	r, found := tearing(a.Reader.Releases(p.Line))
	if a.Tasks == nil || !found || !p.TornDownAt.IsZero() || p.Namespace == "" {
		return p, nil
	}
	limit := a.teardownLimit(p.Line)
	task := *r.App.Teardown
	task.Timeout = min(task.Limit(), limit).String()
	r.App.Teardown = &task
	now := a.now()
	left := min(limit, p.destroyingSince().Add(limit).Sub(now)) // the clock may have been set back since
	cause := r.tornLate("no agent saw it end")
	if left > 0 {
		bounded, cancel := context.WithTimeout(ctx, left)
		defer cancel()
		cause = a.runTeardown(bounded, r, p.destroyingSince())
	}
	if ctx.Err() != nil {
		return p, ctx.Err()
	}
	if cause != nil {
		a.log.Warn("teardown failed: the preview goes without it", "environment", p.Line.Environment, "name", p.Line.App, "namespace", p.Namespace, "reason", cause.Message)
	}
	p, err := a.Previews.KeepPreview(ctx, p.Line, func(p *Preview) error {
		p.TornDownAt = a.now()
		p.Destroys = slices.Clone(p.Destroys)
		for i := range p.Destroys {
			if p.Destroys[i].DoneAt.IsZero() {
				p.Destroys[i].Teardown = cause
			}
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("recording that the teardown of preview %s is over: %w", p.Line, err)
	}
	return p, nil
}

// tearing is the release whose teardown command is run: the newest that succeeded, or
// else the newest. False if there is none that has one.
func tearing(releases []Release) (Release, bool) {
	r := current(releases)
	if n := len(releases); r == nil && n > 0 {
		r = &releases[n-1]
	}
	if r == nil || r.App.Teardown == nil {
		return Release{}, false
	}
	return *r, true
}

// teardownLimit is how long the teardown of a line's preview may take.
func (a *Agent) teardownLimit(line Line) time.Duration {
	app, found := a.app(line.App)
	if !found || app.PreviewPolicy == nil || app.PreviewPolicy.TeardownTimeout <= 0 {
		return defaultTeardown
	}
	return app.PreviewPolicy.TeardownTimeout
}

// runTeardown is why the command did not end well before ctx ends; nil if it did, or
// if the namespace is not the preview's any more.
func (a *Agent) runTeardown(ctx context.Context, r Release, since time.Time) *Cause {
	var last error // of a try that the end of the time did not cut short
	for {
		inventory, err := a.Tasks.StartTask(ctx, r, TaskTeardown)
		if err == nil {
			r.Status.Inventory = union(r.Status.Inventory, inventory)
			break
		}
		rejected := (*Rejected)(nil)
		switch {
		case errors.Is(err, ErrForeign):
			return nil
		case errors.As(err, &rejected):
			return r.refused(rejected)
		case ctx.Err() == nil || last == nil:
			last = err
		}
		a.log.Debug("teardown not started", "environment", r.Line.Environment, "name", r.Line.App, "error", err)
		select {
		case <-ctx.Done():
			return r.tornLate("it could not be started: " + last.Error())
		case <-time.After(teardownRetry):
		}
	}
	verdict, _, err := a.watchTask(ctx, r, TaskTeardown, since)
	switch {
	case err != nil:
		return r.tornLate("")
	case verdict.Cause == nil:
		return nil
	}
	said := a.Witness.Testimony(ctx, r, *verdict.Cause)
	return &said
}

// tornLate is the cause of a teardown whose time is over.
func (r Release) tornLate(why string) *Cause {
	var verdict Verdict
	t := trial{kind: TaskTeardown, service: spec.Service{Name: string(TaskTeardown)}, verdict: &verdict}
	cause := t.tooLong(*r.App.Teardown, PredeployObservation{})
	cause.Service = ""
	if why != "" {
		cause.Message += ": " + why
	}
	return cause
}
