package cluster

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// How much is told of a container's end.
const (
	testimonyTimeout = 5 * time.Second
	logLines         = 40
	maxRawLog        = 256 << 10 // read before redaction; 40 lines of JSON fit
	maxWitnesses     = 3         // pods of one service whose events are read
)

// What stands where a log, or an event's message, would be if nobody can say what
// is secret in it.
const (
	withheld        = "(the log is not shown: the app's own Secrets could not be read, so their values could not be taken out of it)"
	withheldMessage = "(not shown: the app's own Secrets could not be read)"
)

// Testimony returns c with the last log lines of the container that it names and
// the events of its pod and of others of its service; of a service without pods,
// with those of who should make them. All are capped, and empty when the cluster
// does not tell. The values of the app's own Secrets, and whatever looks like a
// secret, are taken out of these and of what c quotes already; if those values
// cannot be read, log and events' messages are withheld. What c quotes then comes
// from Evidence, which does the same, or from a status, which no program writes.
func (c *Client) Testimony(ctx context.Context, r agent.Release, cause agent.Cause) agent.Cause {
	ctx, cancel := context.WithTimeout(ctx, testimonyTimeout)
	defer cancel()
	secrets, known := c.knownValues(ctx, r)
	if cause.Kind != "" {
		cause.Message, cause.Next = secrets.scrub(cause.Message), secrets.scrub(cause.Next)
		cause.Events = eventLines(c.eventsAbout(ctx, r, cause), cleaner(secrets, known))
	}
	if cause.Pod == "" || cause.Container == "" {
		return cause
	}
	raw, err := c.podLog(ctx, r.Namespace, cause.Pod, cause.Container)
	if err != nil {
		c.log.Debug("log not read", "namespace", r.Namespace, "name", cause.Pod, "error", err)
	}
	cause.Log = cutHead(redact(secrets.scrub(raw)), v1alpha1.MaxLog)
	if !known && raw != "" {
		cause.Log = withheld
	}
	return cause
}

// knownValues are ownValues; known is false if they cannot be read, and then what
// a program may have written must not be told.
func (c *Client) knownValues(ctx context.Context, r agent.Release) (secrets sealed, known bool) {
	secrets, err := c.ownValues(ctx, r)
	if err != nil {
		c.log.Warn("secrets not read: logs and events are not shown", "namespace", r.Namespace, "name", r.Line.App, "error", err)
	}
	return secrets, err == nil
}

// cleaner takes what is secret out of an event's message. A probe's event quotes
// what the program answers, so without the values nothing of a message is left.
func cleaner(secrets sealed, known bool) func(string) string {
	if !known {
		return func(string) string { return withheldMessage }
	}
	return func(text string) string { return redact(secrets.scrub(text)) }
}

// eventsAbout lists the events of the objects that a cause is about.
func (c *Client) eventsAbout(ctx context.Context, r agent.Release, cause agent.Cause) []corev1.Event {
	var all []corev1.Event
	for _, o := range c.witnesses(r, cause) {
		events, err := c.eventsOf(ctx, o)
		if err != nil {
			c.log.Debug("events not read", "kind", o.Kind, "namespace", o.Namespace, "name", o.Name, "error", err)
		}
		all = append(all, events...)
	}
	return all
}

// witnesses are the objects whose events tell of a cause: its pod and others that
// the same owner has made, or else those who should make pods.
func (c *Client) witnesses(r agent.Release, cause agent.Cause) []agent.Object {
	of := func(kind, name string) agent.Object {
		return agent.Object{Kind: kind, Namespace: r.Namespace, Name: name}
	}
	var all []agent.Object
	switch {
	case cause.Kind == agent.CauseTeardown:
		all = append(all, of("Job", render.TaskName(r, agent.TaskTeardown)))
	case r.Status.Phase == agent.Predeploying:
		all = append(all, of("Job", render.TaskName(r, agent.TaskPredeploy)))
	case r.Status.Phase == agent.Seeding:
		all = append(all, of("Job", render.TaskName(r, agent.TaskSeed)))
	}
	if cause.Pod != "" {
		all = append(all, of("Pod", cause.Pod))
		for _, name := range siblings(ofApp[*corev1.Pod](c, "Pod", r.Namespace, r.Line.App), cause.Pod) {
			all = append(all, of("Pod", name))
		}
		return all
	}
	if cause.Service == "" {
		return all
	}
	name := render.Name(r.Line.App, cause.Service)
	all = append(all, of("Deployment", name))
	v := c.view(r)
	for _, d := range v.deployments {
		if rs := v.replicaSet(d, strconv.Itoa(r.Number)); rs != nil && d.Name == name {
			all = append(all, of("ReplicaSet", rs.Name))
		}
	}
	return all
}

// siblings are other pods of the same owner that are not ready either.
func siblings(pods []*corev1.Pod, name string) []string {
	var owner *metav1.OwnerReference
	for _, pod := range pods {
		if pod.Name == name {
			owner = metav1.GetControllerOf(pod)
		}
	}
	var all []string
	for _, pod := range pods {
		by := metav1.GetControllerOf(pod)
		if owner == nil || by == nil || by.UID != owner.UID || pod.Name == name || observePod(pod).Ready {
			continue
		}
		if all = append(all, pod.Name); len(all) == maxWitnesses-1 {
			break
		}
	}
	return all
}

// podLog reads the run that ended: the previous one when the container has been
// started again, the current one otherwise. Nothing is taken out of it yet.
func (c *Client) podLog(ctx context.Context, namespace, name, container string) (string, error) {
	lines, limit := int64(logLines), int64(maxRawLog)
	options := &corev1.PodLogOptions{Container: container, TailLines: &lines, LimitBytes: &limit}
	if pod, ok := c.cached("Pod", namespace, name).(*corev1.Pod); ok {
		options.Previous = restarted(pod, container)
	}
	stream, err := c.clients.core.Pods(namespace).GetLogs(name, options).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }() // read to its end or given up
	raw, err := io.ReadAll(io.LimitReader(stream, maxRawLog))
	return printable(string(raw)), err
}

// restarted reports whether the container's last end was in an earlier run than
// the one that its log shows by default.
func restarted(pod *corev1.Pod, container string) bool {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container {
			return s.LastTerminationState.Terminated != nil && s.State.Terminated == nil
		}
	}
	return false
}

// printable drops colours and other control characters, which neither etcd nor
// a check can show.
func printable(text string) string {
	text = ansi.ReplaceAllString(strings.ToValidUTF8(text, "\uFFFD"), "")
	text = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
	return strings.TrimRight(text, "\n")
}
