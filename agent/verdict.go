package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// How long a symptom may last before the release has failed. Kubernetes itself
// gives up after 600 s (progressDeadlineSeconds) and sometimes never, so these
// run on the agent's clock, from the moment when the objects were applied.
//
// A controller that lost the API server asks it again after up to 30 s, and jitter
// of as much (client-go, tools/cache/reflector.go): what it has not done until then
// says nothing of the version.
const (
	unschedulableAfter = 25 * time.Second // room for a scheduler's retry, and for a node autoscaler to answer
	noPodsAfter        = 90 * time.Second // the controller has made no pod at all, see above
	rolloutDeadline    = 15 * time.Minute // whatever else keeps it from being done, see deadline
	deadlineSlack      = 5 * time.Minute  // for what a rollout does beside waiting for its slowest service
	uncertainFor       = 10 * time.Second // a symptom that may pass: the kubelet and the controllers try again meanwhile
	settleTime         = 3 * time.Second  // a worker has no probe: it is ready once it has run this long
	maxEnds            = 2                // a container that ended twice crashes
)

// Verdict is what an observation means for its release.
type Verdict struct {
	Done    bool
	Cause   *Cause    // why it failed; nil when Done means success
	ReadyAt time.Time // when the last new pod became Ready; success only
	Recheck time.Time // look again then even if nothing changes; zero: no need
	Message string    // one line of progress: "web 1/2, worker 1/1"
	Waits   string    // what is waited for out of the ordinary; empty: nothing

	// Ask has what to ask the cluster first: with the answers in the observation,
	// the verdict may be another one.
	Ask []Question
}

// Judge says what an observation means. It is pure: applied is when the
// release's objects were written, now is when the observation was made.
func Judge(r Release, o Observation, applied, now time.Time) Verdict {
	verdict := Verdict{Done: true}
	var progress []string
	for _, service := range r.App.LongRunning() {
		t := trial{service: service, since: applied, now: now, verdict: &verdict}
		i := slices.IndexFunc(o.Services, func(s ServiceObservation) bool { return s.Name == service.Name })
		if i < 0 || !o.Services[i].Observed {
			verdict.Done = false
			progress = append(progress, service.Name+" waiting")
			if cause := t.unseen(); cause != nil {
				return verdict.failed(*cause)
			}
			continue
		}
		s, asked, waits := o.Services[i], verdict.Ask, verdict.Waits
		ready := verdict.countReady(s, settle(r, service), now)
		progress = append(progress, fmt.Sprintf("%s %d/%d", s.Name, ready, s.Desired))
		if cause := t.causeOf(s); cause != nil {
			if cause.ofOnePod() && enough(service, s, ready) {
				verdict.Ask = asked
				continue
			}
			return verdict.failed(*cause)
		}
		if verdict.Waits != waits && enough(service, s, ready) { // one pod more is on its way
			verdict.Waits = waits
			continue
		}
		if ready < s.Desired || s.Updated < s.Desired || s.Old > 0 || s.Endpoints > 0 {
			verdict.Done = false
		}
	}
	verdict.Message = strings.Join(progress, ", ")
	if verdict.Done {
		return verdict
	}
	if limit := deadline(r); now.Sub(applied) >= limit {
		return verdict.failed(Cause{
			Kind: CauseNoProgress, Message: fmt.Sprintf("the rollout was not done within %s: %s", limit, verdict.Message),
			Next: "look at the pods of the namespace: old ones may not be able to end, or new ones are not ready",
		})
	}
	verdict.recheck(applied.Add(deadline(r)))
	return verdict
}

// deadline is how long the whole rollout may take: a service that is slow to be
// ready has its time.
func deadline(r Release) time.Duration {
	limit := rolloutDeadline
	for _, s := range r.App.LongRunning() {
		limit = max(limit, s.ReadyTimeout()+deadlineSlack)
	}
	return limit
}

// settle is how long a ready pod has to run before it counts. A worker has no
// probe, so Kubernetes calls it ready as soon as its process exists; one that
// dies at once must not turn a check green. What was good before is trusted.
func settle(r Release, s spec.Service) time.Duration {
	if s.Type == spec.Web || r.Reason == ReasonRollback {
		return 0
	}
	return settleTime
}

// enough reports whether a service that scales has taken over with as many pods
// as it has to have. What its scaler asks for beyond them, and does not get, is
// not the release's fault: the old pods, all gone, were as many.
func enough(service spec.Service, s ServiceObservation, ready int) bool {
	return service.Scale.Scales() && s.Old == 0 && s.Endpoints == 0 && ready >= max(service.Scale.Min, 1)
}

// ofOnePod reports whether the cause is that one pod more finds no place, or is
// not ready: unlike the others it says nothing of the version.
func (c Cause) ofOnePod() bool {
	switch c.Kind {
	case CauseUnschedulable, CauseNotReady, CauseNotListening, CauseProbe, CauseQuota, CauseAdmission, CauseRejected:
		return true
	case CauseImagePull, CauseArchitecture, CauseConfig, CauseSecret, CauseCrash, CauseOutOfMemory, CausePredeploy, CauseSeed, CauseTeardown, CauseNoProgress:
	}
	return false
}

// countReady counts the new pods that are ready and have settled.
func (v *Verdict) countReady(s ServiceObservation, settle time.Duration, now time.Time) int {
	ready := 0
	for _, pod := range s.Pods {
		if !pod.Ready || pod.Deleting {
			continue
		}
		if settled := pod.ReadyAt.Add(settle); settle > 0 && now.Before(settled) {
			v.recheck(settled)
			continue
		}
		ready++
		v.ReadyAt = later(v.ReadyAt, pod.ReadyAt)
	}
	return ready
}

// failed is the verdict of a release that has failed, with the questions that
// might change it.
func (v *Verdict) failed(c Cause) Verdict {
	return Verdict{Done: true, Cause: &c, Message: c.Message, Ask: v.Ask}
}

func (v *Verdict) recheck(at time.Time) {
	if v.Recheck.IsZero() || at.Before(v.Recheck) {
		v.Recheck = at
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func orElse(text, fallback string) string {
	if text != "" {
		return text
	}
	return fallback
}
