package agent

import "time"

// Observation is what the cluster shows of a release at one moment. It holds
// only what the verdict needs and no Kubernetes type.
type Observation struct {
	Services []ServiceObservation // one per service of the release
}

// ServiceObservation is one service's part of an Observation.
type ServiceObservation struct {
	Name      string
	Desired   int  // replicas asked for
	Observed  bool // the controller has seen the objects of this release
	Updated   int  // pods made from this release's template
	Old       int  // pods of other templates that nobody has told to end yet
	Endpoints int  // ready endpoints of old pods; only for services with a port
	Pods      []PodObservation
	// Refused is the API server's word when the controller may not make pods
	// (quota, admission); empty if it may.
	Refused      string
	RefusedSince time.Time // zero if that is not known
}

// PodObservation is one new pod.
type PodObservation struct {
	Name               string
	CreatedAt          time.Time
	Ready              bool
	ReadyAt            time.Time // last change to Ready, by the kubelet's clock
	Deleting           bool
	Unschedulable      string // the scheduler's message; empty when scheduled
	UnschedulableSince time.Time
	Containers         []ContainerObservation
}

// ContainerObservation is one container of a new pod.
type ContainerObservation struct {
	Name      string
	Waiting   string // reason, "ImagePullBackOff"; empty if it does not wait
	Message   string // the kubelet's message for Waiting, redacted
	Running   bool
	Restarts  int
	Ended     int       // how often the container has ended, by restarts and states
	ExitCode  int       // of the last end
	EndReason string    // "OOMKilled", "Error", "Completed"
	EndedAt   time.Time // of the last end; zero if it never ended

	// What the agent remembers from its earlier looks at this rollout.
	EndedBefore  int       // Ended at the first look
	WaitingSince time.Time // when it was first seen to wait for this reason
}

// memory is what the looks at one rollout have shown so far. An agent that takes
// a rollout up begins with an empty one: its verdict may come later by that, and
// never too early.
type memory struct {
	began   time.Time            // the first look
	ended   map[string]int       // by pod and container, at the first look
	waiting map[string]time.Time // by pod, container and reason
}

// fill notes what o shows at now, and adds to it what was seen before.
func (m *memory) fill(o Observation, now time.Time) {
	if m.ended == nil {
		m.began, m.ended = now, map[string]int{}
	}
	waiting := map[string]time.Time{}
	for _, s := range o.Services {
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

// PredeployObservation is what the cluster shows of a predeploy's Job.
type PredeployObservation struct {
	Missing   bool      // there is no such Job: not yet seen, or somebody deleted it
	StartedAt time.Time // zero: not yet
	Succeeded bool
	Failed    bool
	Reason    string // the Job controller's, "DeadlineExceeded"
	Pods      []PodObservation
}
