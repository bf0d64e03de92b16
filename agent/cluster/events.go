package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// eventBacklog is how many events may wait to be sent; more are dropped, for
// the release itself says the same.
const eventBacklog = 64

// recorder turns changes of phase, and drift, into Kubernetes events, for kubectl describe.
// It is best effort: nothing waits for it and nothing depends on it.
type recorder struct {
	core    typed.CoreV1Interface
	log     *slog.Logger
	backlog chan *corev1.Event
}

func newRecorder(core typed.CoreV1Interface, log *slog.Logger) *recorder {
	return &recorder{core: core, log: log, backlog: make(chan *corev1.Event, eventBacklog)}
}

// record has an event sent.
func (r *recorder) record(event *corev1.Event) {
	select {
	case r.backlog <- event:
	default:
		r.log.Debug("event dropped, too many wait", "namespace", event.Namespace, "name", event.Name, "reason", event.Reason)
	}
}

// phaseEvent is the event of the phase that o has reached. Its name is that of
// the release and the phase, so that a phase is told once.
func phaseEvent(o *v1alpha1.Release, at time.Time) *corev1.Event {
	kind, message := corev1.EventTypeNormal, o.Status.Message
	switch agent.Phase(o.Status.Phase) {
	case agent.Failed, agent.RolledBack, agent.Restoring:
		kind = corev1.EventTypeWarning
	case agent.Pending, agent.Provisioning, agent.Predeploying, agent.Seeding, agent.Applying, agent.RollingOut, agent.Succeeded, agent.Superseded:
	}
	if o.Status.Cause != nil {
		message = strings.TrimSpace(o.Status.Cause.Message + ". " + o.Status.Cause.Next)
	}
	if message == "" {
		message = o.Status.Phase
	}
	event := eventOf(o, strings.ToLower(o.Status.Phase), at)
	event.Type, event.Reason, event.Message = kind, o.Status.Phase, cut(message, v1alpha1.MaxEvent)
	return event
}

// reasonDrift is the reason of an event that tells of drift.
const reasonDrift = "Drift"

// driftEvents are the events of what is on record of drift in after and was not
// in before, which may be nil.
func driftEvents(before, after *v1alpha1.Release) []*corev1.Event {
	var events []*corev1.Event
	for _, d := range after.Status.Drift {
		if before != nil && slices.ContainsFunc(before.Status.Drift, func(old v1alpha1.Drift) bool {
			return old.At.Equal(&d.At) && old.Object == d.Object
		}) {
			continue
		}
		known := domainDrift(d)
		event := eventOf(after, fmt.Sprintf("drift.%x.%x", d.At.UnixMicro(), len(events)), d.At.Time)
		event.Type, event.Reason, event.Message = corev1.EventTypeWarning, reasonDrift, cut(known.String(), v1alpha1.MaxEvent)
		events = append(events, event)
	}
	return events
}

// eventOf is an event of a release; its name makes it unique.
func eventOf(o *v1alpha1.Release, name string, at time.Time) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: o.Name + "." + name, Namespace: o.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: v1alpha1.GroupVersion().String(), Kind: "Release",
			Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion,
		},
		Count:          1,
		Source:         corev1.EventSource{Component: render.Manager},
		FirstTimestamp: metav1.NewTime(at), LastTimestamp: metav1.NewTime(at),
		ReportingController: v1alpha1.Group + "/" + render.Manager,
	}
}

// run sends events until ctx ends.
func (r *recorder) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-r.backlog:
			r.send(ctx, event)
		}
	}
}

func (r *recorder) send(ctx context.Context, event *corev1.Event) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := r.core.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{FieldManager: render.Manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		r.log.Debug("event not sent", "namespace", event.Namespace, "name", event.Name, "error", err)
	}
}
