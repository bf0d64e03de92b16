package agent

import (
	"context"
	"slices"
	"time"
)

// How often the cluster is asked for what no cache has. A question is a list of
// one object's events, and perhaps one log: both cost the API server more than a
// look at a cache.
const (
	evidenceAge  = 15 * time.Second // what is older is asked anew, if it still matters
	maxQuestions = 2                // in one look: pods of one service tell the same story
)

// Question is what a verdict would like to know of a pod, or of a task's
// Job, beyond what the caches show.
type Question struct {
	Job       bool   // about the Job, else about a pod
	Name      string // of the pod or the Job
	Container string // whose log is wanted; empty: none
}

// Evidence is what the cluster tells when it is asked. A cause may quote all of
// it: it has no value of a Secret of the app, and neither log nor messages if
// those are unknown.
type Evidence struct {
	Events  []Event // of the object, oldest first, redacted
	Log     string  // the last lines of the container, redacted
	Missing bool    // there is no such Job, or it is being deleted
	Unread  bool    // the cluster did not answer

	// What the agent adds.
	At     time.Time // when it asked
	Logged bool      // it asked for the log too
}

// Event is one event of Kubernetes, as often as it was seen.
type Event struct {
	Reason  string
	Message string
	Source  string // component that reports it
	Count   int
	Last    time.Time // when it was seen last
}

// newest returns the event seen last for which fits holds; nil if there is none.
func (e *Evidence) newest(fits func(Event) bool) *Event {
	if e == nil {
		return nil
	}
	var newest *Event
	for i := range e.Events {
		if fits(e.Events[i]) && (newest == nil || !e.Events[i].Last.Before(newest.Last)) {
			newest = &e.Events[i]
		}
	}
	return newest
}

// fresh reports whether the evidence can be relied on at now.
func (e *Evidence) fresh(now time.Time) bool { return e != nil && now.Sub(e.At) < evidenceAge }

// log are the last lines, if they are known.
func (e *Evidence) log() string {
	if e == nil {
		return ""
	}
	return e.Log
}

// ask notes a question for the loop, unless there are enough.
func (v *Verdict) ask(q Question) {
	if len(v.Ask) < maxQuestions && !slices.Contains(v.Ask, q) {
		v.Ask = append(v.Ask, q)
	}
}

// memory is what the looks at one rollout have shown so far. An agent that takes
// a rollout up begins with an empty one: its verdict may come later by that, and
// never too early.
type memory struct {
	began    time.Time            // the first look
	ended    map[string]int       // by pod and container, at the first look
	waiting  map[string]time.Time // by pod, container and reason
	evidence map[string]*Evidence // by pod or Job
}

// fill notes what o shows at now, and adds to it what was seen before.
func (m *memory) fill(o Observation, now time.Time) {
	if m.ended == nil {
		m.began, m.ended = now, map[string]int{}
	}
	waiting := map[string]time.Time{}
	for _, s := range o.Services {
		m.add(s.Pods)
		for _, pod := range s.Pods {
			for i := range pod.Containers {
				c := &pod.Containers[i]
				name := pod.Name + "/" + c.Name
				if _, known := m.ended[name]; !known {
					m.ended[name] = c.Ended
				}
				c.EndedBefore = m.ended[name]
				if c.Waiting == "" {
					continue
				}
				name += "/" + c.Waiting
				since, known := m.waiting[name]
				if !known {
					since = now
				}
				c.WaitingSince, waiting[name] = since, since
			}
		}
	}
	m.waiting = waiting
}

// add adds the evidence there is to pods.
func (m *memory) add(pods []PodObservation) {
	for i := range pods {
		pods[i].Evidence = m.evidence[pods[i].Name]
	}
}

// ask puts the questions to the cluster and reports whether there were any: then
// the same observation, with the answers, is to be judged once more.
func (m *memory) ask(ctx context.Context, w Witness, r Release, questions []Question, now time.Time) bool {
	for _, q := range questions {
		if m.evidence == nil {
			m.evidence = map[string]*Evidence{}
		}
		e := w.Evidence(ctx, r, q)
		e.At, e.Logged = now, q.Container != ""
		m.evidence[q.Name] = &e
	}
	return len(questions) > 0
}
