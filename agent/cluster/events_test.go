package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
)

func TestEventLines(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	event := func(second int, reason, message string, count int32) corev1.Event {
		return corev1.Event{Reason: reason, Message: message, Count: count, LastTimestamp: metav1.NewTime(start.Add(time.Duration(second) * time.Second))}
	}
	series := corev1.Event{Reason: "Failed", Message: "password=hunter2", Series: &corev1.EventSeries{
		Count: 4, LastObservedTime: metav1.NewMicroTime(start.Add(3 * time.Second)),
	}}
	fresh := corev1.Event{Reason: "Scheduled", Message: "to node-1", EventTime: metav1.NewMicroTime(start)}
	got := eventLines([]corev1.Event{
		event(9, "BackOff", "restarting", 7), series, event(2, "Pulled", "image\n", 1), fresh, event(1, "BackOff", "restarting", 2),
	}, redact)
	want := []string{"Scheduled: to node-1", "Pulled: image", "Failed: password=[redacted] (4 times)", "BackOff: restarting (9 times)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var many []corev1.Event
	for i := range 30 {
		many = append(many, event(i, "Pulled", fmt.Sprint(i), 1))
	}
	if got := eventLines(many, redact); len(got) != 10 || got[9] != "Pulled: 29" {
		t.Errorf("got %v, want the ten newest, newest last", got)
	}
}

func TestPhaseEvent(t *testing.T) {
	t.Parallel()
	release := releaseResource(agent.Release{
		Line: agent.Line{App: "shop", Environment: "production"}, Number: 7, Namespace: "shop",
		Status: agent.Status{Phase: agent.Restoring, Message: "Failed", Cause: &agent.Cause{Message: "web: crashed", Next: "read the log"}},
	})
	got := phaseEvent(release, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	if got.Name != "shop-7.restoring" || got.Type != corev1.EventTypeWarning || got.Message != "web: crashed. read the log" ||
		got.InvolvedObject.Name != "shop-7" {
		t.Errorf("got %+v", got)
	}
}

func TestRestarted(t *testing.T) {
	t.Parallel()
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	tests := map[string]struct {
		state, last corev1.ContainerState
		want        bool
	}{
		"runs for the first time":  {corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, corev1.ContainerState{}, false},
		"ended":                    {ended, corev1.ContainerState{}, false},
		"ended again":              {ended, ended, false},
		"runs again":               {corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, ended, true},
		"waits for its next start": {corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}, ended, true},
	}
	for name, test := range tests {
		pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "web", State: test.state, LastTerminationState: test.last},
		}}}
		if got := restarted(pod, "web"); got != test.want {
			t.Errorf("%s: got %t, want %t", name, got, test.want)
		}
	}
}
