package cluster

import (
	"context"
	"log/slog"
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

// recorder turns changes of phase into Kubernetes events, for kubectl describe.
// It is best effort: nothing waits for it and nothing depends on it.
type recorder struct {
	core    typed.CoreV1Interface
	log     *slog.Logger
	backlog chan *corev1.Event
}

func newRecorder(core typed.CoreV1Interface, log *slog.Logger) *recorder {
	return &recorder{core: core, log: log, backlog: make(chan *corev1.Event, eventBacklog)}
}

// record notes the phase that o has reached.
func (r *recorder) record(o *v1alpha1.Release, at time.Time) {
	select {
	case r.backlog <- phaseEvent(o, at):
	default:
		r.log.Debug("event dropped, too many wait", "namespace", o.Namespace, "name", o.Name, "phase", o.Status.Phase)
	}
}

// phaseEvent is the event of the phase that o has reached. Its name is that of
// the release and the phase, so that a phase is told once.
func phaseEvent(o *v1alpha1.Release, at time.Time) *corev1.Event {
	kind, message := corev1.EventTypeNormal, o.Status.Message
	switch agent.Phase(o.Status.Phase) {
	case agent.Failed, agent.RolledBack, agent.Restoring:
		kind = corev1.EventTypeWarning
	case agent.Pending, agent.Predeploying, agent.Applying, agent.RollingOut, agent.Succeeded, agent.Superseded:
	}
	if o.Status.Cause != nil {
		message = strings.TrimSpace(o.Status.Cause.Message + ". " + o.Status.Cause.Next)
	}
	if message == "" {
		message = o.Status.Phase
	}
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: o.Name + "." + strings.ToLower(o.Status.Phase), Namespace: o.Namespace},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: v1alpha1.GroupVersion().String(), Kind: "Release",
			Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion,
		},
		Type: kind, Reason: o.Status.Phase, Message: cut(message, v1alpha1.MaxEvent), Count: 1,
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
