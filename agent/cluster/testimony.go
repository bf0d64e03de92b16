package cluster

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// How much is told of a container's end.
const (
	testimonyTimeout = 5 * time.Second
	logLines         = 40
	maxRawLog        = 256 << 10 // read before redaction; 40 lines of JSON fit
	maxListedEvents  = 200
)

// Testimony returns the last log lines of the container that c names and the
// events of its pod, newest last; both redacted and capped, and empty when the
// cluster does not tell.
func (c *Client) Testimony(ctx context.Context, r agent.Release, cause agent.Cause) (log string, events []string) {
	if cause.Pod == "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, testimonyTimeout)
	defer cancel()
	events, err := c.podEvents(ctx, r.Namespace, cause.Pod)
	if err != nil {
		c.log.Debug("events not read", "namespace", r.Namespace, "name", cause.Pod, "error", err)
	}
	if cause.Container == "" {
		return "", events
	}
	log, err = c.podLog(ctx, r.Namespace, cause)
	if err != nil {
		c.log.Debug("log not read", "namespace", r.Namespace, "name", cause.Pod, "error", err)
	}
	return log, events
}

// podLog reads the run that ended: the previous one when the container has been
// started again, the current one otherwise.
func (c *Client) podLog(ctx context.Context, namespace string, cause agent.Cause) (string, error) {
	lines, limit := int64(logLines), int64(maxRawLog)
	options := &corev1.PodLogOptions{Container: cause.Container, TailLines: &lines, LimitBytes: &limit}
	if pod, ok := c.cached("Pod", namespace, cause.Pod).(*corev1.Pod); ok {
		options.Previous = restarted(pod, cause.Container)
	}
	stream, err := c.clients.core.Pods(namespace).GetLogs(cause.Pod, options).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }() // read to its end or given up
	raw, err := io.ReadAll(io.LimitReader(stream, maxRawLog))
	return cutHead(redact(printable(string(raw))), v1alpha1.MaxLog), err
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

// podEvents lists what the cluster says of a pod.
func (c *Client) podEvents(ctx context.Context, namespace, pod string) ([]string, error) {
	list, err := c.clients.core.Events(namespace).List(ctx, metav1.ListOptions{
		Limit: maxListedEvents,
		FieldSelector: fields.SelectorFromSet(fields.Set{
			"involvedObject.kind": "Pod", "involvedObject.name": pod, "involvedObject.namespace": namespace,
		}).String(),
	})
	if err != nil {
		return nil, err
	}
	return eventLines(list.Items), nil
}

// eventLines tells the newest events, newest last, each sort once.
func eventLines(events []corev1.Event) []string {
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b)) })
	var newest []string // newest first
	seen := map[string]bool{}
	for _, event := range slices.Backward(events) {
		line := event.Reason + ": " + redact(printable(strings.TrimSpace(event.Message)))
		if seen[line] || len(newest) == v1alpha1.MaxEvents {
			continue
		}
		seen[line] = true
		if times := eventCount(event); times > 1 {
			line += fmt.Sprintf(" (%d times)", times)
		}
		newest = append(newest, cut(line, v1alpha1.MaxEvent))
	}
	slices.Reverse(newest)
	return newest
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
