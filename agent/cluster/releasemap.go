package cluster

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

func releaseName(r agent.Release) string { return r.Line.App + "-" + strconv.Itoa(r.Number) }

// releaseResource is r as a custom resource. Times are kept to the microsecond.
func releaseResource(r agent.Release) *v1alpha1.Release {
	o := &v1alpha1.Release{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Release"},
		ObjectMeta: metav1.ObjectMeta{
			Name: releaseName(r), Namespace: r.Namespace, ResourceVersion: r.Version,
			Labels: map[string]string{
				render.LabelManagedBy:   render.Manager,
				render.LabelPartOf:      render.Label(r.Line.App),
				render.LabelApp:         render.Label(r.Line.App),
				render.LabelEnvironment: render.Label(r.Line.Environment),
			},
		},
		Spec: v1alpha1.ReleaseSpec{
			App: r.Line.App, Environment: r.Line.Environment, Number: r.Number,
			Intent: r.Intent, Kind: string(r.Kind), Reason: string(r.Reason), Restore: r.Restore,
			Note: r.Note, Rule: r.Rule, Image: r.Image,
			ShortCommit: r.Source.Commit[:min(shortCommit, len(r.Source.Commit))],
			Source:      sourceResource(r.Source),
			Definition:  v1alpha1.Definition{Name: r.App.Name},
			IssuedAt:    micro(r.IssuedAt),
			Evidence: v1alpha1.Evidence{
				Scheme: r.Evidence.Scheme, KeyID: r.Evidence.KeyID, Issuer: r.Evidence.Issuer, TokenID: r.Evidence.TokenID,
				IssuedAt: micro(r.Evidence.IssuedAt), Claims: r.Evidence.Claims,
			},
		},
		Status: statusResource(r.Status),
	}
	for _, s := range r.App.Services {
		o.Spec.Definition.Services = append(o.Spec.Definition.Services, v1alpha1.Service{
			Name: s.Name, Type: string(s.Type), Shell: s.Run.Shell, Exec: s.Run.Exec, Port: s.Port, Replicas: s.Replicas,
			CPU: s.CPU, Memory: s.Memory, HealthPath: s.Health.Path, HealthTimeout: s.Health.Timeout, Env: s.Env,
		})
	}
	return o
}

// domainRelease is the release that o records.
func domainRelease(o *v1alpha1.Release) agent.Release {
	s := o.Spec
	r := agent.Release{
		Line:      agent.Line{App: s.App, Environment: s.Environment},
		Namespace: o.Namespace, Number: s.Number,
		Intent: s.Intent, Kind: intent.Kind(s.Kind), Reason: agent.Reason(s.Reason), Restore: s.Restore,
		Note: s.Note, Rule: s.Rule, Image: s.Image,
		Source:   domainSource(s.Source),
		App:      spec.App{Name: s.Definition.Name},
		IssuedAt: plainTime(s.IssuedAt),
		Evidence: intent.Evidence{
			Scheme: s.Evidence.Scheme, KeyID: s.Evidence.KeyID, Issuer: s.Evidence.Issuer, TokenID: s.Evidence.TokenID,
			IssuedAt: plainTime(s.Evidence.IssuedAt), Claims: s.Evidence.Claims,
		},
		Status:  domainStatus(o.Status),
		Version: o.ResourceVersion,
	}
	for _, service := range s.Definition.Services {
		r.App.Services = append(r.App.Services, spec.Service{
			Name: service.Name, Type: spec.ServiceType(service.Type),
			Run:  spec.Command{Shell: service.Shell, Exec: service.Exec},
			Port: service.Port, Replicas: service.Replicas, CPU: service.CPU, Memory: service.Memory,
			Health: spec.Health{Path: service.HealthPath, Timeout: service.HealthTimeout}, Env: service.Env,
		})
	}
	if r.Status.Phase == "" {
		r.Status.Phase = agent.Pending
		r.Status.Timeline = earlyTimeline(o)
	}
	return r
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
// the API server or a webhook said.
func statusResource(s agent.Status) v1alpha1.ReleaseStatus {
	o := v1alpha1.ReleaseStatus{
		Phase: string(s.Phase), Message: cut(redact(s.Message), v1alpha1.MaxMessage),
		SupersededBy: s.SupersededBy, RestoredTo: s.RestoredTo,
		Reported: v1alpha1.Reported{Phase: string(s.Reported.Phase), CheckRun: s.Reported.CheckRun},
	}
	if c := s.Cause; c != nil {
		o.Cause = &v1alpha1.Cause{
			Kind: string(c.Kind), Service: c.Service, Pod: c.Pod, Container: c.Container, ExitCode: c.ExitCode,
			Message: cut(redact(c.Message), v1alpha1.MaxMessage), Next: cut(c.Next, v1alpha1.MaxMessage), Log: cutHead(c.Log, v1alpha1.MaxLog),
		}
		for _, event := range c.Events[max(0, len(c.Events)-v1alpha1.MaxEvents):] {
			o.Cause.Events = append(o.Cause.Events, cut(event, v1alpha1.MaxEvent))
		}
	}
	for _, m := range s.Timeline {
		o.Timeline = append(o.Timeline, v1alpha1.Moment{Step: string(m.Step), At: metav1.NewMicroTime(m.At)})
	}
	for _, service := range s.Services {
		o.Services = append(o.Services, v1alpha1.ServiceStatus(service))
	}
	for _, object := range s.Inventory {
		o.Inventory = append(o.Inventory, v1alpha1.ObjectReference(object))
	}
	return o
}

func domainStatus(o v1alpha1.ReleaseStatus) agent.Status {
	s := agent.Status{
		Phase: agent.Phase(o.Phase), Message: o.Message, SupersededBy: o.SupersededBy, RestoredTo: o.RestoredTo,
		Timeline: domainTimeline(o.Timeline),
		Reported: agent.Reported{Phase: agent.Phase(o.Reported.Phase), CheckRun: o.Reported.CheckRun},
	}
	if c := o.Cause; c != nil {
		s.Cause = &agent.Cause{
			Kind: agent.CauseKind(c.Kind), Service: c.Service, Pod: c.Pod, Container: c.Container, ExitCode: c.ExitCode,
			Message: c.Message, Next: c.Next, Log: c.Log, Events: slices.Clone(c.Events),
		}
	}
	for _, service := range o.Services {
		s.Services = append(s.Services, agent.ServiceStatus(service))
	}
	for _, object := range o.Inventory {
		s.Inventory = append(s.Inventory, agent.Object(object))
	}
	return s
}

func domainTimeline(moments []v1alpha1.Moment) []agent.Moment {
	var timeline []agent.Moment
	for _, m := range moments {
		timeline = append(timeline, agent.Moment{Step: agent.Step(m.Step), At: plainTime(&m.At)})
	}
	return timeline
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
