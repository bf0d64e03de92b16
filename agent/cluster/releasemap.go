package cluster

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// annotationTimeline has the moments from before the release was made: creating
// an object cannot write its status. It counts while the status is empty.
const annotationTimeline = "inhaul.dev/timeline"

// shortCommit is how many digits of a commit people are shown.
const shortCommit = 7

func short(commit string) string { return commit[:min(shortCommit, len(commit))] }

func releaseName(r agent.Release) string { return r.Line.App + "-" + strconv.Itoa(r.Number) }

// appLabels are the labels of everything of an app in one environment.
func appLabels(r agent.Release) map[string]string {
	return map[string]string{
		render.LabelManagedBy:   render.Manager,
		render.LabelPartOf:      render.Label(r.Line.App),
		render.LabelApp:         render.Label(r.Line.App),
		render.LabelEnvironment: render.Label(r.Line.Environment),
	}
}

// releaseResource is r as a custom resource. Times are kept to the microsecond.
func releaseResource(r agent.Release) *v1alpha1.Release {
	return &v1alpha1.Release{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Release"},
		ObjectMeta: metav1.ObjectMeta{Name: releaseName(r), Namespace: r.Namespace, ResourceVersion: r.Version, Labels: appLabels(r)},
		Spec: v1alpha1.ReleaseSpec{
			App: r.Line.App, Environment: r.Line.Environment, Number: r.Number,
			Intent: r.Intent, Kind: string(r.Kind), Reason: string(r.Reason), Restore: r.Restore,
			Commit: r.Commit, Note: r.Note, Rule: r.Rule, Image: r.Image,
			ShortCommit: short(cmp.Or(r.Commit, r.Source.Commit)),
			Source:      sourceResource(r.Source),
			Definition:  definitionResource(r.App),
			Config:      (*v1alpha1.Config)(r.Config),
			IssuedAt:    micro(r.IssuedAt),
			Evidence:    evidenceResource(r.Evidence),
		},
		Status: statusResource(r.Status),
	}
}

// domainRelease is the release that o records. It shares nothing with o that
// either of them could change. A definition that cannot be read leaves its App
// empty; see readable.
func domainRelease(o *v1alpha1.Release) agent.Release {
	o = o.DeepCopy()
	s := o.Spec
	app, _ := domainDefinition(s.Definition) // told by readable, before it matters
	r := agent.Release{
		Line:      agent.Line{App: s.App, Environment: s.Environment},
		Namespace: o.Namespace, Number: s.Number,
		Intent: s.Intent, Kind: intent.Kind(s.Kind), Reason: agent.Reason(s.Reason), Restore: s.Restore,
		Commit: s.Commit, Note: s.Note, Rule: s.Rule, Image: s.Image,
		Source:   domainSource(s.Source),
		App:      app,
		Config:   (*intent.Config)(s.Config),
		IssuedAt: plainTime(s.IssuedAt),
		Evidence: domainEvidence(s.Evidence),
		Status:   domainStatus(o.Status),
		Version:  o.ResourceVersion,
	}
	if r.Status.Phase == "" {
		r.Status.Phase = agent.Pending
		r.Status.Timeline = earlyTimeline(o)
	}
	return r
}

// definitionResource is the app as its intent has it; empty if there is none.
func definitionResource(a spec.App) runtime.RawExtension {
	if a.Name == "" && len(a.Services) == 0 {
		return runtime.RawExtension{}
	}
	encoded, _ := json.Marshal(a) // texts, numbers, and lists of these: cannot fail
	return runtime.RawExtension{Raw: encoded}
}

// domainDefinition reads a definition strictly: an agent that does not know a key
// of it, because a newer one wrote it, would deploy something else than was signed.
func domainDefinition(o runtime.RawExtension) (spec.App, error) {
	if len(o.Raw) == 0 {
		return spec.App{}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(o.Raw))
	decoder.DisallowUnknownFields()
	var a spec.App
	if err := decoder.Decode(&a); err != nil {
		return spec.App{}, fmt.Errorf("its definition cannot be read by this version of the agent: %w", err)
	}
	return a, nil
}

// readable fails if r has no services: there was none in its record, or what was
// there could not be read. Whatever was made of it would remove the app.
func (c *Client) readable(r agent.Release) error {
	if len(r.App.Services) > 0 {
		return nil
	}
	why := errors.New("it has no services")
	if o, ok := c.cached("Release", r.Namespace, releaseName(r)).(*v1alpha1.Release); ok {
		if _, err := domainDefinition(o.Spec.Definition); err != nil {
			why = err
		}
	}
	return &agent.Rejected{
		Object:  agent.Object{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Release", Namespace: r.Namespace, Name: releaseName(r)},
		Message: why.Error(),
	}
}

func sourceResource(s intent.Source) v1alpha1.Source {
	return v1alpha1.Source{
		Repository: s.Repository, RepositoryID: s.RepositoryID, RepositoryOwnerID: s.RepositoryOwnerID,
		Ref: s.Ref, Commit: s.Commit, HeadCommit: s.HeadCommit, Event: s.Event, EventAt: micro(s.EventAt),
		WorkflowRef: s.WorkflowRef, JobWorkflowRef: s.JobWorkflowRef,
		RunID: s.RunID, RunNumber: s.RunNumber, RunAttempt: s.RunAttempt,
		Actor: s.Actor, TriggeringActor: s.TriggeringActor,
		GitHubEnvironment: s.GitHubEnvironment, PullRequest: s.PullRequest,
	}
}

func domainSource(s v1alpha1.Source) intent.Source {
	return intent.Source{
		Repository: s.Repository, RepositoryID: s.RepositoryID, RepositoryOwnerID: s.RepositoryOwnerID,
		Ref: s.Ref, Commit: s.Commit, HeadCommit: s.HeadCommit, Event: s.Event, EventAt: plainTime(s.EventAt),
		WorkflowRef: s.WorkflowRef, JobWorkflowRef: s.JobWorkflowRef,
		RunID: s.RunID, RunNumber: s.RunNumber, RunAttempt: s.RunAttempt,
		Actor: s.Actor, TriggeringActor: s.TriggeringActor,
		GitHubEnvironment: s.GitHubEnvironment, PullRequest: s.PullRequest,
	}
}

// statusResource is s within the bounds of the schema. Messages may quote what
// the API server or a webhook said. What is said of a missing secret has been
// scrubbed where it was said: "API_TOKEN: there is no Secret" looks like one.
func statusResource(s agent.Status) v1alpha1.ReleaseStatus {
	told := redact
	if s.Cause != nil && s.Cause.Kind == agent.CauseSecret {
		told = func(text string) string { return text }
	}
	o := v1alpha1.ReleaseStatus{
		Phase: string(s.Phase), Message: cut(told(s.Message), v1alpha1.MaxMessage),
		SupersededBy: s.SupersededBy, RestoredTo: s.RestoredTo,
		ReportedOn:   s.ReportedOn,
		PredeployLog: cutHead(s.PredeployLog, v1alpha1.MaxLog),
		SeedLog:      cutHead(s.SeedLog, v1alpha1.MaxLog),
	}
	o.Cause = causeResource(s.Cause)
	o.Timeline = each(s.Timeline, momentResource)
	o.Reported = each(s.Reported, reportedResource)
	o.Services = each(s.Services, func(s agent.ServiceStatus) v1alpha1.ServiceStatus { return v1alpha1.ServiceStatus(s) })
	o.Drift = each(s.Drift[max(0, len(s.Drift)-agent.MaxDriftRecords):], driftResource)
	o.Inventory = each(s.Inventory, objectResource)
	return o
}

func domainStatus(o v1alpha1.ReleaseStatus) agent.Status {
	s := agent.Status{
		Phase: agent.Phase(o.Phase), Message: o.Message, SupersededBy: o.SupersededBy, RestoredTo: o.RestoredTo,
		Timeline:     domainTimeline(o.Timeline),
		ReportedOn:   o.ReportedOn,
		PredeployLog: o.PredeployLog,
		SeedLog:      o.SeedLog,
	}
	s.Cause = domainCause(o.Cause)
	s.Reported = each(o.Reported, domainReported)
	s.Services = each(o.Services, func(s v1alpha1.ServiceStatus) agent.ServiceStatus { return agent.ServiceStatus(s) })
	s.Drift = each(o.Drift, domainDrift)
	s.Inventory = each(o.Inventory, referenceOf)
	return s
}

// causeResource is c within the bounds of the schema.
func causeResource(c *agent.Cause) *v1alpha1.Cause {
	if c == nil {
		return nil
	}
	told := redact
	if c.Kind == agent.CauseSecret {
		told = func(text string) string { return text }
	}
	o := &v1alpha1.Cause{
		Kind: string(c.Kind), Service: c.Service, Setting: c.Setting, Pod: c.Pod, Container: c.Container, ExitCode: c.ExitCode,
		Message: cut(told(c.Message), v1alpha1.MaxMessage), Next: cut(c.Next, v1alpha1.MaxMessage), Log: cutHead(c.Log, v1alpha1.MaxLog),
	}
	for _, event := range c.Events[max(0, len(c.Events)-v1alpha1.MaxEvents):] {
		o.Events = append(o.Events, cut(event, v1alpha1.MaxEvent))
	}
	return o
}

func domainCause(c *v1alpha1.Cause) *agent.Cause {
	if c == nil {
		return nil
	}
	return &agent.Cause{
		Kind: agent.CauseKind(c.Kind), Service: c.Service, Setting: c.Setting, Pod: c.Pod, Container: c.Container, ExitCode: c.ExitCode,
		Message: c.Message, Next: c.Next, Log: c.Log, Events: c.Events,
	}
}

func momentResource(m agent.Moment) v1alpha1.Moment {
	return v1alpha1.Moment{Step: string(m.Step), At: metav1.NewMicroTime(m.At)}
}

func reportedResource(r agent.Reported) v1alpha1.Reported {
	return v1alpha1.Reported{Way: string(r.Way), Phase: string(r.Phase), Ready: r.Ready, ID: r.ID}
}

func domainReported(r v1alpha1.Reported) agent.Reported {
	return agent.Reported{Way: agent.Way(r.Way), Phase: agent.Phase(r.Phase), Ready: r.Ready, ID: r.ID}
}

func evidenceResource(e intent.Evidence) v1alpha1.Evidence {
	return v1alpha1.Evidence{Scheme: e.Scheme, KeyID: e.KeyID, Issuer: e.Issuer, TokenID: e.TokenID, IssuedAt: micro(e.IssuedAt), Claims: e.Claims}
}

func domainEvidence(e v1alpha1.Evidence) intent.Evidence {
	return intent.Evidence{Scheme: e.Scheme, KeyID: e.KeyID, Issuer: e.Issuer, TokenID: e.TokenID, IssuedAt: plainTime(e.IssuedAt), Claims: e.Claims}
}

func domainTimeline(moments []v1alpha1.Moment) []agent.Moment {
	return each(moments, func(m v1alpha1.Moment) agent.Moment {
		return agent.Moment{Step: agent.Step(m.Step), At: plainTime(&m.At)}
	})
}

// keepEarlyTimeline writes the moments of status where creating can write them.
func keepEarlyTimeline(o *v1alpha1.Release) error {
	if len(o.Status.Timeline) == 0 {
		return nil
	}
	encoded, err := json.Marshal(o.Status.Timeline)
	if err != nil {
		return err
	}
	o.Annotations = map[string]string{annotationTimeline: string(encoded)}
	return nil
}

func earlyTimeline(o *v1alpha1.Release) []agent.Moment {
	var moments []v1alpha1.Moment
	if json.Unmarshal([]byte(o.Annotations[annotationTimeline]), &moments) != nil {
		return nil // somebody edited it; these moments are for people only
	}
	return domainTimeline(moments)
}

// micro is the time to the microsecond; nil for the zero time.
func micro(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	m := metav1.NewMicroTime(t)
	return &m
}

// plainTime is UTC to the microsecond, as it is stored; the zero time for nil.
func plainTime(t *metav1.MicroTime) time.Time {
	if t == nil || t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// each is what of makes of every item; nil for none.
func each[From, To any](items []From, of func(From) To) []To {
	if len(items) == 0 {
		return nil
	}
	all := make([]To, len(items))
	for i, item := range items {
		all[i] = of(item)
	}
	return all
}
