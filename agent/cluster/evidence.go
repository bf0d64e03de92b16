package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// The bounds of an answer.
const (
	evidenceTimeout = 3 * time.Second // a verdict waits for it
	maxListedEvents = 200
)

// Evidence answers a question of the agent from the API server, with the rights
// that it has: it lists the events of one object, and reads one log or one Job.
// No cache of events is kept: a cluster has more of them than of anything else.
//
// A verdict may quote the answer, so the values of the app's own Secrets are not
// in it. If they cannot be read, it has no log and no event's message.
func (c *Client) Evidence(ctx context.Context, r agent.Release, q agent.Question) agent.Evidence {
	ctx, cancel := context.WithTimeout(ctx, evidenceTimeout)
	defer cancel()
	secrets, known := c.knownValues(ctx, r)
	kind := "Pod"
	var e agent.Evidence
	if q.Job {
		kind = "Job"
		e.Missing, e.Unread = c.jobMissing(ctx, r, q.Name)
	}
	events, err := c.eventsOf(ctx, agent.Object{Kind: kind, Namespace: r.Namespace, Name: q.Name})
	if err != nil {
		c.log.Debug("events not read", "kind", kind, "namespace", r.Namespace, "name", q.Name, "error", err)
		e.Unread = true
	}
	e.Events = eventEvidence(events, cleaner(secrets, known))
	if q.Container == "" || !known {
		return e
	}
	raw, err := c.podLog(ctx, r.Namespace, q.Name, q.Container)
	if err != nil {
		c.log.Debug("log not read", "namespace", r.Namespace, "name", q.Name, "error", err)
	}
	e.Log = cutHead(redact(secrets.scrub(raw)), v1alpha1.MaxLog)
	return e
}

// jobMissing asks the API server whether the Job of that name, of a task of r, is
// gone, or going; unread says that it did not answer.
func (c *Client) jobMissing(ctx context.Context, r agent.Release, name string) (missing, unread bool) {
	kinds := agent.TaskKinds()
	i := slices.IndexFunc(kinds, func(kind agent.TaskKind) bool { return render.TaskName(r, kind) == name })
	if i < 0 {
		return true, false
	}
	job, err := c.taskJob(ctx, r, kinds[i])
	if strange := (*agent.Rejected)(nil); errors.As(err, &strange) {
		return true, false // one of that name is there, and it is somebody else's
	}
	if err != nil {
		return false, true
	}
	return job == nil || job.DeletionTimestamp != nil, false
}

// eventsOf lists what the cluster says of an object, oldest first.
func (c *Client) eventsOf(ctx context.Context, o agent.Object) ([]corev1.Event, error) {
	list, err := c.clients.core.Events(o.Namespace).List(ctx, metav1.ListOptions{
		Limit: maxListedEvents,
		FieldSelector: fields.SelectorFromSet(fields.Set{
			"involvedObject.kind": o.Kind, "involvedObject.name": o.Name, "involvedObject.namespace": o.Namespace,
		}).String(),
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list.Items, compareEvents)
	return list.Items, nil
}

// compareEvents puts events in the order in which they happened.
//
// Most times are whole seconds, and the scheduler's are not: within one second
// the order is that in which they began.
func compareEvents(a, b corev1.Event) int {
	second := func(t time.Time) time.Time { return t.Truncate(time.Second) }
	return cmp.Or(second(eventTime(a)).Compare(second(eventTime(b))), second(firstTime(a)).Compare(second(firstTime(b))))
}

// firstTime is when an event happened first.
func firstTime(e corev1.Event) time.Time {
	if e.FirstTimestamp.IsZero() {
		return e.CreationTimestamp.Time
	}
	return e.FirstTimestamp.Time
}

// eventEvidence is what the agent's rules see of events. Each message goes through
// clean.
func eventEvidence(events []corev1.Event, clean func(string) string) []agent.Event {
	return each(events, func(e corev1.Event) agent.Event {
		return agent.Event{
			Reason: e.Reason, Message: cut(clean(printable(strings.TrimSpace(e.Message))), v1alpha1.MaxMessage),
			Source: cmp.Or(e.ReportingController, e.Source.Component), Count: int(eventCount(e)), Last: eventTime(e).UTC(),
		}
	})
}

// eventTime is when an event happened last; there are three generations of
// fields for that.
func eventTime(e corev1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	if !e.EventTime.IsZero() {
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

func eventCount(e corev1.Event) int32 {
	if e.Series != nil {
		return e.Series.Count
	}
	return cmp.Or(e.Count, 1)
}
