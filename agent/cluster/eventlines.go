package cluster

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/inhaul/inhaul/api/v1alpha1"
)

// ipAddress is what differs between what is said of one pod and of another.
var ipAddress = regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`)

// generated is the end of a name that the API server made up.
//
// https://github.com/kubernetes/apiserver/blob/v0.37.2/pkg/storage/names/generate.go
const generated = `(?:-[a-z0-9]{5})?`

// sortOfEvent is one sort of events.
type sortOfEvent struct {
	newest  corev1.Event
	times   int32
	objects map[string]bool
}

// eventLines tells the newest events, newest last, each sort once with how often
// it was seen. What is said of several pods, but for their names and addresses, is
// one sort. Each message goes through clean.
func eventLines(events []corev1.Event, clean func(string) string) []string {
	events = slices.Clone(events)
	slices.SortStableFunc(events, compareEvents)
	sorts := map[string]*sortOfEvent{}
	var newestFirst []*sortOfEvent
	for _, event := range slices.Backward(events) {
		key := event.InvolvedObject.Kind + " " + event.Reason + " " + anonymous(event)
		s := sorts[key]
		if s == nil {
			s = &sortOfEvent{newest: event, objects: map[string]bool{}}
			sorts[key] = s
			newestFirst = append(newestFirst, s)
		}
		s.times += eventCount(event)
		s.objects[event.InvolvedObject.Name] = true
	}
	var lines []string
	for _, s := range slices.Backward(newestFirst[:min(len(newestFirst), v1alpha1.MaxEvents)]) {
		lines = append(lines, cut(s.line(clean), v1alpha1.MaxEvent))
	}
	return lines
}

func (s sortOfEvent) line(clean func(string) string) string {
	line := s.newest.Reason + ": " + strings.Join(strings.Fields(clean(printable(s.newest.Message))), " ")
	switch {
	case len(s.objects) > 1:
		line += fmt.Sprintf(" (%d times, of %d pods)", s.times, len(s.objects))
	case s.times > 1:
		line += fmt.Sprintf(" (%d times)", s.times)
	}
	return line
}

// anonymous is an event's message without what names its object.
func anonymous(e corev1.Event) string {
	text := ipAddress.ReplaceAllString(strings.TrimSpace(e.Message), "IP")
	if e.InvolvedObject.Name != "" {
		text = regexp.MustCompile(regexp.QuoteMeta(e.InvolvedObject.Name)+generated).ReplaceAllString(text, "NAME")
	}
	if e.InvolvedObject.UID != "" {
		text = strings.ReplaceAll(text, string(e.InvolvedObject.UID), "UID")
	}
	return text
}
