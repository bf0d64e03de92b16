package agent

import (
	"context"
	"slices"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// progressEvery is between two words of how far a rollout is. Each is a write to the
// API server, and one to GitHub, which asks for a second between two of them and
// counts them by the hour: what is done sooner is told by its verdict alone.
const progressEvery = 10 * time.Second

// progress is when a rollout was last told of.
type progress struct {
	last  time.Time // or when the rollout was first looked at
	again time.Time // when there is something to tell that is too early now; zero: never
}

// tellProgress keeps the services of a rollout that takes long in step with what is
// seen, coalesced. Trouble with that is no obstacle to the verdict.
func (a *Agent) tellProgress(ctx context.Context, r Release, o Observation, now time.Time, told *progress) Release {
	if told.last.IsZero() {
		told.last = now
	}
	told.again = time.Time{}
	services := serviceStatus(r, o)
	if slices.Equal(services, r.Status.Services) {
		return r
	}
	if next := told.last.Add(progressEvery); now.Before(next) {
		told.again = next
		return r
	}
	told.last = now
	written, err := a.advance(ctx, r, func(s *Status) { s.Services = services })
	if err != nil {
		a.log.Debug("progress not written", "environment", r.Line.Environment, "name", r.Line.App, "release", r.Number, "error", err)
		return r
	}
	return written
}

// serviceStatus has a row for every service that keeps pods running.
func serviceStatus(r Release, o Observation) []ServiceStatus {
	statuses := make([]ServiceStatus, 0, len(o.Services))
	for _, s := range o.Services {
		if !slices.ContainsFunc(r.App.LongRunning(), func(service spec.Service) bool { return service.Name == s.Name }) {
			continue
		}
		status := ServiceStatus{Name: s.Name, Desired: s.Desired}
		for _, pod := range s.Pods {
			if pod.Ready {
				status.Ready++
			}
			for _, c := range pod.Containers {
				status.Restarts += c.Restarts
			}
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// ready is how many new pods of r are Ready, as far as its status tells.
func (s Status) ready() int {
	ready := 0
	for _, service := range s.Services {
		ready += service.Ready
	}
	return ready
}
