package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// The phases of a destroy, as a way shows it, beside waitingPhase; no release has one
// of them.
const (
	destroyingPhase = "Destroying"
	destroyedPhase  = "Destroyed"
)

// end is a destroy and the preview that it takes away, for the texts about it.
type end struct {
	preview Preview
	destroy Destroy
}

func (d Destroy) target(p Preview, way Way) target {
	return target{p.Line.App, d.Source.Repository, way}
}

// phase is how far d is.
func (d Destroy) phase(p Preview) Phase {
	switch {
	case !d.DoneAt.IsZero():
		return destroyedPhase
	case p.Message != "":
		return waitingPhase
	}
	return destroyingPhase
}

// shown is what the way shows of d.
func (d Destroy) shown(way Way) Reported { return Status{Reported: d.Reported}.Shown(way) }

// unreported reports whether the way shows something else than d. Deployments end
// with their releases; see Release.remains.
func (d Destroy) unreported(p Preview, way Way) bool {
	tells := way.waited() && !d.own() || way == WayComment && d.commented(p)
	return tells && d.shown(way).Phase != d.phase(p)
}

// due reports whether the way is to be brought in step now. What is over in a moment
// is told once, when it is.
func (d Destroy) due(p Preview, way Way, now time.Time) bool {
	return d.unreported(p, way) && (!d.DoneAt.IsZero() || now.Sub(d.At) >= quietTime)
}

// Unreported reports whether the way has yet to tell of the end of p, or of a release
// that went with it.
func (p Preview) Unreported(way Way) bool {
	return slices.ContainsFunc(p.Destroys, func(d Destroy) bool { return d.unreported(p, way) }) ||
		slices.ContainsFunc(p.Remains, func(r Release) bool { return r.unreported(way) }) || p.parked().unreportedParked(way)
}

// targets are those that the way has to tell of p now.
func (p Preview) targets(way Way, now time.Time) []target {
	var all []target
	for _, r := range p.Remains {
		if r.unreported(way) {
			all = append(all, r.target(way))
		}
	}
	for _, d := range p.Destroys {
		if d.due(p, way, now) {
			all = append(all, d.target(p, way))
		}
	}
	if r, is := p.hold(way, now); is {
		all = append(all, r.target(way))
	}
	return all
}

// wakePreviewReports gives every target a turn that p has news for.
func (a *Agent) wakePreviewReports(p Preview) {
	for _, way := range a.ways {
		for _, to := range p.targets(way, a.now()) {
			a.reports.wake(to, false)
		}
	}
}

// reportable are the releases of a line that their own records tell of. Those of a
// preview that is being destroyed are told of by the preview.
func (a *Agent) reportable(line Line) []Release {
	p, found := a.Records.Preview(line)
	if found && p.Phase == PreviewDestroying {
		return nil
	}
	releases := a.Reader.Releases(line)
	if n := len(releases); n > 0 && found {
		releases[n-1].Asleep = p.knownAsleep() && releases[n-1].Status.Phase == Succeeded
	}
	return releases
}

// previewQueues is what the target is to be told of the end of p.
func (a *Agent) previewQueues(p Preview, to target) [][]telling {
	var queues [][]telling
	environment := p.environment()
	for _, r := range p.Remains {
		if r.target(to.way) == to && r.unreported(to.way) {
			queues = append(queues, []telling{func(ctx context.Context) error { return a.reportRelease(ctx, r, to.way, environment) }})
		}
	}
	if r, is := p.hold(to.way, a.now()); is && r.target(to.way) == to {
		queues = append(queues, []telling{func(ctx context.Context) error { return a.reportRelease(ctx, r, to.way, environment) }})
	}
	for _, d := range p.Destroys {
		if d.target(p, to.way) == to && d.due(p, to.way, a.now()) {
			queues = append(queues, []telling{func(ctx context.Context) error { return a.reportEnd(ctx, p, d, to.way) }})
		}
	}
	return queues
}

// environment is that of p for texts: nothing answers there any more.
func (p Preview) environment() Environment {
	number, _ := spec.PreviewNumber(p.Line.Environment)
	return Environment{Name: p.Line.Environment, PullRequest: number, Namespace: p.Namespace}
}

func (d Destroy) message(p Preview, way Way, v view) *message {
	return &message{
		way: way, line: p.Line, repository: d.Source.Repository, commit: d.Source.Commit, head: d.ReportedOn, intent: d.Intent,
		since: d.At, at: later(d.At, d.DoneAt), id: d.shown(way).ID, view: v, end: &end{p, d},
	}
}

// reportEnd has the way show how far the destroy is, and writes down that it did.
func (a *Agent) reportEnd(ctx context.Context, p Preview, d Destroy, way Way) error {
	m := d.message(p, way, a.view(p.environment(), nil))
	id, shown, err := a.show(ctx, m)
	if err != nil {
		return fmt.Errorf("reporting the end of preview %s as a %s: %w", p.Line, way, err)
	}
	return a.recordEnd(ctx, p, m, shown, id)
}

// recordEnd makes durable what the way shows of the end of p, or would if it could be
// shown: of one destroy, or by a comment of all of p.
func (a *Agent) recordEnd(ctx context.Context, p Preview, m *message, shown bool, id int64) error {
	told := map[string]Phase{}
	for _, d := range p.Destroys {
		if m.way == WayComment || d.Intent == m.intent {
			told[d.Intent] = d.phase(p)
		}
	}
	_, err := a.Previews.KeepPreview(ctx, p.Line, func(p *Preview) error {
		p.Destroys = slices.Clone(p.Destroys)
		for i := range p.Destroys {
			d := &p.Destroys[i]
			if phase, is := told[d.Intent]; is {
				s := Status{Reported: d.Reported}
				s.report(Reported{Way: m.way, Phase: phase, ID: id})
				d.Reported = s.Reported
				if d.Intent == m.intent { // a comment tells of others, too, which have heads of their own
					d.ReportedOn = orElse(d.ReportedOn, m.head)
				}
			}
		}
		if m.way == WayComment && shown {
			p.Comment = id
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that the end of preview %s is reported: %w", p.Line, err)
	}
	return nil
}

// recordRemains makes durable what a way shows of a release that goes. One of which
// nothing is left to tell is forgotten, once it is gone: until then it would be found
// anew.
func (a *Agent) recordRemains(ctx context.Context, r Release, reported Reported) error {
	_, err := a.Previews.KeepPreview(ctx, r.Line, func(p *Preview) error {
		p.Remains = slices.Clone(p.Remains)
		i := slices.IndexFunc(p.Remains, func(old Release) bool { return old.Intent == r.Intent })
		if i < 0 {
			return nil
		}
		p.Remains[i].Status.report(reported)
		p.Remains[i].Status.ReportedOn = orElse(p.Remains[i].Status.ReportedOn, r.Status.ReportedOn)
		if p.Phase != PreviewDestroying {
			p.Remains = a.untold(p.Remains)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recording that release %d of %s is reported: %w", r.Number, r.Line, err)
	}
	return nil
}

// untold are those of remains of which some way has yet to tell.
func (a *Agent) untold(remains []Release) []Release {
	return slices.DeleteFunc(slices.Clone(remains), func(r Release) bool { return !slices.ContainsFunc(a.ways, r.unreported) })
}

// endedFor are the previews whose end the comment of the pull request has yet to show,
// and the message of one of them; nil if there is none.
func endedFor(app App, to target, number int) (previews []Preview, m *message) {
	for _, p := range app.Previews {
		for _, d := range p.Destroys {
			if d.target(p, WayComment) == to && d.Source.PullRequest == number && d.unreported(p, WayComment) {
				previews, m = append(previews, p), d.message(p, WayComment, view{})
				break
			}
		}
	}
	return previews, m
}
