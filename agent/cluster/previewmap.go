package cluster

import (
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

func previewLine(o *v1alpha1.Preview) agent.Line {
	return agent.Line{App: o.Spec.App, Environment: "pr-" + strconv.Itoa(o.Spec.PullRequest)}
}

// domainPreviewPolicy is what the platform owner allows; nil for none.
func domainPreviewPolicy(o *v1alpha1.PreviewPolicy) *agent.PreviewPolicy {
	if o == nil {
		return nil
	}
	p := &agent.PreviewPolicy{
		Namespace: o.Namespace, Host: o.Host, URL: o.URL, Routing: agent.Routing(o.Routing), Quota: agent.Quota(o.Quota),
		Max: o.Max, Drift: agent.DriftPolicy(o.Drift), Group: o.Group, KeepLabel: o.KeepLabel, WakeLabel: o.WakeLabel,
		IdleTTL: period(o.IdleTTL), TTL: period(o.TTL), SleepAfter: period(o.SleepAfter), TeardownTimeout: period(o.TeardownTimeout),
		Postgres: (*agent.DatabaseClass)(o.Databases.Postgres), Redis: (*agent.DatabaseClass)(o.Databases.Redis),
	}
	if h := o.Clone; h != nil {
		p.Clone = &agent.CloneHook{Namespace: h.Namespace, Image: h.Image, Command: h.Command, Source: h.Source, Timeout: period(h.Timeout)}
	}
	if f := o.Forks; f != nil {
		p.Forks = &agent.ForkPolicy{Heads: f.Heads, Quota: agent.Quota(f.Quota), IdleTTL: period(f.IdleTTL), TTL: period(f.TTL)}
	}
	if e := o.Egress; e != nil {
		p.EgressOpen, p.EgressAllow = e.Open, e.Allow
	}
	return p
}

// period is a time that the schema has let pass; 0 for none.
func period(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d
}

// domainPreview is the preview that o records. It shares nothing with o that either
// of them could change.
func domainPreview(o *v1alpha1.Preview) agent.Preview {
	o = o.DeepCopy()
	s, line := o.Status, previewLine(o)
	return agent.Preview{
		Line: line, UID: string(o.UID), Repository: s.Repository, RepositoryID: s.RepositoryID, Namespace: s.Namespace, Group: s.Group, Owner: s.Owner,
		Phase: agent.PreviewPhase(s.Phase), Message: s.Message, Comment: s.Comment,
		CreatedAt: plainTime(s.CreatedAt), LastPushAt: plainTime(s.LastPushAt), DestroyedAt: plainTime(s.DestroyedAt),
		Fork: s.Fork, AsleepAt: plainTime(s.AsleepAt), Turning: s.Turning, WakeAsked: wakeAsked(o), ActiveAt: plainTime(s.ActiveAt), Labels: s.Labels, LookedAt: plainTime(s.LookedAt),
		SeededAt: plainTime(s.SeededAt), TornDownAt: plainTime(s.TornDownAt), Waiting: domainWaiting(line, s.Namespace, s.Waiting),
		Marks: domainMarks(s.Marks),
		Decided: each(s.Decided, func(d v1alpha1.Decided) agent.Decided {
			return agent.Decided{Intent: d.Intent, IssuedAt: plainTime(d.IssuedAt)}
		}),
		Destroys: each(s.Destroys, func(d v1alpha1.Destroy) agent.Destroy {
			return agent.Destroy{
				Reason: agent.EndReason(d.Reason),
				Intent: d.Intent, Rule: d.Rule, Source: domainSource(d.Source), IssuedAt: plainTime(d.IssuedAt), Evidence: domainEvidence(d.Evidence),
				At: plainTime(d.AdmittedAt), DoneAt: plainTime(d.DoneAt), Nothing: d.Nothing, Kept: d.Kept, Teardown: domainCause(d.Teardown), Reported: each(d.Reported, domainReported), ReportedOn: d.ReportedOn,
			}
		}),
		Remains: each(s.Remains, func(r v1alpha1.Remains) agent.Release {
			return agent.Release{
				Line: line, Namespace: s.Namespace, Number: r.Number, Intent: r.Intent, Kind: intent.Kind(r.Kind), Commit: r.Commit, Rule: r.Rule,
				Image: r.Image, Source: domainSource(r.Source), IssuedAt: plainTime(r.IssuedAt), Evidence: intent.Evidence{Scheme: r.Scheme}, Removed: true,
				Status: agent.Status{
					Phase: agent.Superseded, Message: r.Message, Timeline: domainTimeline(r.Timeline), ReportedOn: r.ReportedOn, Reported: each(r.Reported, domainReported),
				},
			}
		}),
		Version: o.ResourceVersion,
	}
}

// wakeAsked is when somebody has last asked for the preview that o records to be
// awake; zero for never, and for what is no time.
func wakeAsked(o *v1alpha1.Preview) time.Time {
	at, err := time.Parse(time.RFC3339, o.Annotations[v1alpha1.AnnotationWake])
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// previewObject is p as a custom resource of namespace, within the bounds of the
// schema.
func previewObject(p agent.Preview, namespace string) *v1alpha1.Preview {
	number, _ := spec.PreviewNumber(p.Line.Environment)
	marks := marksResource(p.Marks)
	marks.Environment = p.Line.Environment
	return &v1alpha1.Preview{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Preview"},
		ObjectMeta: metav1.ObjectMeta{
			Name: previewName(p.Line), Namespace: namespace, ResourceVersion: p.Version,
			Labels: map[string]string{render.LabelManagedBy: render.Manager, render.LabelApp: render.Label(p.Line.App), render.LabelPullRequest: strconv.Itoa(number)},
		},
		Spec: v1alpha1.PreviewSpec{App: p.Line.App, PullRequest: number},
		Status: v1alpha1.PreviewStatus{
			Phase: string(p.Phase), Message: cut(redact(p.Message), v1alpha1.MaxMessage), Namespace: p.Namespace, Group: p.Group, Owner: p.Owner,
			Repository: p.Repository, RepositoryID: p.RepositoryID, Comment: p.Comment,
			CreatedAt: micro(p.CreatedAt), LastPushAt: micro(p.LastPushAt), DestroyedAt: micro(p.DestroyedAt), Marks: marks,
			Fork: p.Fork, AsleepAt: micro(p.AsleepAt), Turning: p.Turning, ActiveAt: micro(p.ActiveAt), Labels: p.Labels, LookedAt: micro(p.LookedAt),
			SeededAt: micro(p.SeededAt), TornDownAt: micro(p.TornDownAt), Waiting: waitingResource(p.Waiting),
			Decided: each(p.Decided[max(0, len(p.Decided)-v1alpha1.MaxDecided):], func(d agent.Decided) v1alpha1.Decided {
				return v1alpha1.Decided{Intent: d.Intent, IssuedAt: micro(d.IssuedAt)}
			}),
			Destroys: each(p.Destroys[max(0, len(p.Destroys)-v1alpha1.MaxDestroys):], func(d agent.Destroy) v1alpha1.Destroy {
				return v1alpha1.Destroy{
					Reason: string(d.Reason),
					Intent: d.Intent, Rule: d.Rule, Source: sourceResource(d.Source), IssuedAt: micro(d.IssuedAt), Evidence: evidenceResource(d.Evidence),
					AdmittedAt: micro(d.At), DoneAt: micro(d.DoneAt), Nothing: d.Nothing, Kept: d.Kept, Teardown: causeResource(d.Teardown), Reported: each(d.Reported, reportedResource), ReportedOn: d.ReportedOn,
				}
			}),
			Remains: each(p.Remains[max(0, len(p.Remains)-v1alpha1.MaxRemains):], func(r agent.Release) v1alpha1.Remains {
				return v1alpha1.Remains{
					Number: r.Number, Intent: r.Intent, Kind: string(r.Kind), Commit: r.Commit, Rule: r.Rule, Image: r.Image, Source: sourceResource(r.Source),
					IssuedAt: micro(r.IssuedAt), Scheme: r.Evidence.Scheme, Message: cut(r.Status.Message, v1alpha1.MaxMessage),
					Timeline: each(r.Status.Timeline, momentResource), Reported: each(r.Status.Reported, reportedResource), ReportedOn: r.Status.ReportedOn,
				}
			}),
		},
	}
}

// domainWaiting is what waits for room; nil for nothing.
func domainWaiting(line agent.Line, namespace string, o *v1alpha1.Waiting) *agent.Parked {
	if o == nil {
		return nil
	}
	r := domainRelease(&v1alpha1.Release{Spec: o.Release})
	r.Line, r.Namespace = line, namespace
	return &agent.Parked{Since: plainTime(o.Since), Evicted: o.Evicted, Release: r, Reported: each(o.Reported, domainReported), ReportedOn: o.ReportedOn}
}

// waitingResource keeps of the release what is to be deployed, and nothing of how it
// went before.
func waitingResource(w *agent.Parked) *v1alpha1.Waiting {
	if w == nil {
		return nil
	}
	release := releaseResource(w.Release).Spec
	release.Number = max(release.Number, 1)
	return &v1alpha1.Waiting{Since: micro(w.Since), Evicted: w.Evicted, Release: release, Reported: each(w.Reported, reportedResource), ReportedOn: w.ReportedOn}
}
