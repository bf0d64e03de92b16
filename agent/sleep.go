package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
)

// wakePatience is how long it is waited for the pods of a preview that was woken
// before it counts as awake: as long as a rollout may take by default. A push does
// not wait for that.
const wakePatience = 2 * time.Minute

// restAgain is when a preview that is to be asleep by now, and is not, is looked at: an
// alarm does not wait as a retry does.
const restAgain = time.Minute

// Sleepy says whether p is to be scaled to zero at now, where last is when its newest
// release was done; if not, when it will be if nothing happens until then, the zero
// time for never. The pull request's pushes, what woke it, and what asks for it count.
// It is pure.
func Sleepy(p Preview, policy PreviewPolicy, last, now time.Time) (asleep bool, next time.Time) {
	kept := policy.WakeLabel != "" && slices.Contains(p.Labels, policy.WakeLabel)
	if policy.SleepAfter <= 0 || p.Phase != PreviewActive || kept {
		return false, time.Time{}
	}
	for _, at := range []time.Time{p.LastPushAt, p.ActiveAt, p.WakeAsked} {
		if !at.After(now.Add(intent.MaxClockSkew)) { // else somebody wrote down what is yet to come
			last = later(last, at)
		}
	}
	if next = last.Add(policy.SleepAfter); now.Before(next) {
		return false, next
	}
	return true, time.Time{}
}

// turn notes that p is to be asleep or awake from now on. The cluster is yet to be
// told.
func (p *Preview) turn(asleep bool, now time.Time) {
	p.Turning = true
	if asleep {
		p.AsleepAt = now
		return
	}
	p.AsleepAt, p.ActiveAt = time.Time{}, now
}

// knownAsleep reports whether p has no pods: it was put to sleep, and is not awake
// again.
func (p Preview) knownAsleep() bool { return p.AsleepAt.IsZero() == p.Turning }

// rest puts the preview of a line to sleep, or wakes it, if its newest release serves.
// What is to be is on record first, and that it is so last: an agent that dies in
// between writes the same objects once more. A newer release cuts it short.
func (a *Agent) rest(ctx context.Context, line Line) error {
	p, found := a.Records.Preview(line)
	app, known := a.app(line.App)
	if !found || !known || app.PreviewPolicy == nil || p.Phase != PreviewActive {
		return nil
	}
	a.watching(line, true) // before the releases are read: one that comes after that interrupts
	defer a.watching(line, false)
	r, serves := a.serves(line)
	if !serves {
		return nil
	}
	due := func(p Preview) bool {
		asleep, _ := Sleepy(p, *app.PreviewPolicy, r.Status.At(StepVerdict), a.now())
		return asleep
	}
	asked := func(p Preview) bool { // for one that is awake: it makes room for nobody soon
		return p.WakeAsked.After(p.ActiveAt) && !p.WakeAsked.After(a.now().Add(intent.MaxClockSkew))
	}
	if due(p) != p.AsleepAt.IsZero() && !p.Turning && !asked(p) {
		return nil
	}
	p, err := a.Previews.KeepPreview(ctx, line, func(p *Preview) error {
		if asleep := due(*p); asleep == p.AsleepAt.IsZero() {
			p.turn(asleep, a.now())
		}
		if asked(*p) {
			p.ActiveAt = p.WakeAsked
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording whether preview %s sleeps: %w", line, err)
	}
	if !p.Turning || p.Phase != PreviewActive {
		return nil
	}
	return a.turnOver(ctx, p, r)
}

// turnOver brings the cluster in step with what p, of which r is the newest release,
// has on record.
func (a *Agent) turnOver(ctx context.Context, p Preview, r Release) error {
	r.Asleep = !p.AsleepAt.IsZero()
	state := "awake"
	if r.Asleep {
		state = "asleep"
	}
	applyCtx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if _, err := a.Cluster.Apply(applyCtx, r); err != nil {
		return fmt.Errorf("making preview %s %s: %w", p.Line, state, err)
	}
	if !r.Asleep {
		if err := a.awaitPods(ctx, r); err != nil {
			return err
		}
	}
	_, err := a.Previews.KeepPreview(ctx, p.Line, func(now *Preview) error {
		if now.AsleepAt.Equal(p.AsleepAt) {
			now.Turning = false
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that preview %s is %s: %w", p.Line, state, err)
	}
	a.log.Info("preview is "+state, "environment", p.Line.Environment, "name", p.Line.App, "release", r.Number, "namespace", p.Namespace) //nolint:sloglint // because it is one of two constants
	a.wakeReports(p.Line)
	return nil
}

// awaitPods waits until the pods of r are ready, or for wakePatience: one that never
// is was told of by its release, or has become so since.
func (a *Agent) awaitPods(ctx context.Context, r Release) error {
	watchCtx, cancel := context.WithTimeout(ctx, wakePatience)
	defer cancel()
	up := false
	err := a.Cluster.Watch(watchCtx, r, func(o Observation) bool {
		up = up || !slices.ContainsFunc(o.Services, func(s ServiceObservation) bool { return !s.Observed || s.ready() < s.Desired })
		if up {
			cancel() // a watch ends by its context too
		}
		return up
	})
	if err != nil && !up && watchCtx.Err() == nil {
		return fmt.Errorf("watching preview %s wake up: %w", r.Line, err)
	}
	return ctx.Err()
}

// ready counts the pods of s that are Ready.
func (s ServiceObservation) ready() int {
	n := 0
	for _, pod := range s.Pods {
		if pod.Ready && !pod.Deleting {
			n++
		}
	}
	return n
}

// rouse notes that a release of line is under way, which is rendered awake.
func (a *Agent) rouse(ctx context.Context, line Line) error {
	if p, found := a.Records.Preview(line); !found || p.AsleepAt.IsZero() && !p.Turning {
		return nil
	}
	_, err := a.Previews.KeepPreview(ctx, line, func(p *Preview) error {
		if !p.AsleepAt.IsZero() || p.Turning {
			p.turn(false, a.now())
			p.Turning = false
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that preview %s is awake: %w", line, err)
	}
	return nil
}

// serves is the newest release of a line, if that is what serves.
func (a *Agent) serves(line Line) (Release, bool) {
	releases := a.Reader.Releases(line)
	if n := len(releases); n > 0 && releases[n-1].Status.Phase == Succeeded {
		return releases[n-1], true
	}
	return Release{}, false
}

// asRecorded is good, which may be nil, as it is meant to be in the cluster: asleep
// if its preview is.
func (a *Agent) asRecorded(good *Release) *Release {
	if good == nil {
		return nil
	}
	if p, found := a.Records.Preview(good.Line); found {
		good.Asleep = !p.AsleepAt.IsZero()
	}
	return good
}

// bedtime is when the preview of line is to be put to sleep; the zero time for never,
// and for what is no preview.
func (a *Agent) bedtime(line Line) time.Time {
	p, found := a.Records.Preview(line)
	app, known := a.app(line.App)
	if !found || !known || app.PreviewPolicy == nil || !p.AsleepAt.IsZero() {
		return time.Time{}
	}
	r, serves := a.serves(line)
	if !serves {
		return time.Time{}
	}
	asleep, next := Sleepy(p, *app.PreviewPolicy, r.Status.At(StepVerdict), a.now())
	if asleep { // since it was looked at, or it could not be recorded
		return a.now().Add(restAgain)
	}
	return next
}

// previewPolicy is what the platform owner says of previews of an app.
func (v view) previewPolicy(app string) PreviewPolicy {
	for _, a := range v.Apps {
		if a.Name == app && a.PreviewPolicy != nil {
			return *a.PreviewPolicy
		}
	}
	return PreviewPolicy{}
}

// sleeping is what the comment says of a preview that sleeps: its state, why, and
// how it is woken.
func sleeping(line Line, policy PreviewPolicy) (state, why, next string) {
	why = "scaled to zero, for nobody has used it"
	if policy.SleepAfter > 0 {
		why += " for " + took(policy.SleepAfter)
	}
	ways := []string{"push to the pull request"}
	if policy.WakeLabel != "" {
		ways = append(ways, "set the label "+policy.WakeLabel)
	}
	ways = append(ways, fmt.Sprintf("run inhaul wake %s --app %s", line.Environment, line.App))
	return "💤 Asleep", why, "to wake it, " + strings.Join(ways[:len(ways)-1], ", ") + ", or " + ways[len(ways)-1]
}
