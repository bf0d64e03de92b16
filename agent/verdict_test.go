package agent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// after is a moment of a rollout: so long after its objects were written.
func after(d time.Duration) time.Time { return noon().Add(d) }

// readyPod is a new pod that the kubelet called ready at the given moment.
func readyPod(name string, at time.Duration) PodObservation {
	return PodObservation{
		Name: name, CreatedAt: noon(), Ready: true, ReadyAt: after(at),
		Containers: []ContainerObservation{{Name: "main", Running: true}},
	}
}

// stuckPod is a new pod that is not ready, with one container in that state.
func stuckPod(name string, container ContainerObservation) PodObservation {
	container.Name = "main"
	return PodObservation{Name: name, CreatedAt: noon(), Containers: []ContainerObservation{container}}
}

// observed is a service whose desired pods are all these new ones.
func observed(name string, pods ...PodObservation) ServiceObservation {
	return ServiceObservation{Name: name, Desired: len(pods), Observed: true, Updated: len(pods), Pods: pods}
}

// shop has a web service and, where asked for, a worker.
func shop(types ...spec.ServiceType) Release {
	r := Release{Line: Line{App: "storefront", Environment: "production"}, Number: 1, Reason: ReasonNewest, App: spec.App{Name: "storefront"}}
	for _, serviceType := range types {
		r.App.Services = append(r.App.Services, spec.Service{Name: string(serviceType), Type: serviceType})
	}
	return r
}

func TestJudgeSuccess(t *testing.T) {
	t.Parallel()
	rollback := shop(spec.Web, spec.Worker)
	rollback.Reason = ReasonRollback
	web, worker := shop(spec.Web), shop(spec.Worker)
	deleting := readyPod("web-old", time.Second)
	deleting.Deleting, deleting.Containers = true, []ContainerObservation{{Name: "main", Ended: 5, ExitCode: 1}}
	with := func(s ServiceObservation, change func(*ServiceObservation)) ServiceObservation {
		change(&s)
		return s
	}
	for _, test := range []struct {
		name     string
		release  Release
		services []ServiceObservation
		now      time.Duration
		done     bool
		readyAt  time.Duration // checked when done and not zero
		recheck  time.Duration // 0: no need
		message  string
	}{
		{"every new pod is ready and no old one is left", web, []ServiceObservation{observed("web", readyPod("a", time.Second), readyPod("b", 2*time.Second))}, 2 * time.Second, true, 2 * time.Second, 0, "web 2/2"},
		{"no replicas are asked for", web, []ServiceObservation{observed("web")}, time.Second, true, 0, 0, "web 0/0"},
		{"one pod is not ready yet", web, []ServiceObservation{observed("web", readyPod("a", time.Second), stuckPod("b", ContainerObservation{Running: true}))}, 2 * time.Second, false, 0, spec.DefaultHealthTimeout, "web 1/2"},
		{"old pods are left", web, []ServiceObservation{with(observed("web", readyPod("a", time.Second)), func(s *ServiceObservation) { s.Old = 1 })}, 2 * time.Second, false, 0, 0, "web 1/1"},
		{"old pods are left in the endpoints", web, []ServiceObservation{with(observed("web", readyPod("a", time.Second)), func(s *ServiceObservation) { s.Endpoints = 1 })}, 2 * time.Second, false, 0, 0, "web 1/1"},
		{"fewer pods are new than asked for", web, []ServiceObservation{with(observed("web", readyPod("a", time.Second)), func(s *ServiceObservation) { s.Desired = 2 })}, 2 * time.Second, false, 0, 0, "web 1/2"},
		{"the controller has not seen the new version", web, []ServiceObservation{with(observed("web", readyPod("a", time.Second)), func(s *ServiceObservation) { s.Observed = false })}, time.Second, false, 0, noPodsAfter, "web waiting"},
		{"a service is missing from what the cluster shows", shop(spec.Web, spec.Worker), []ServiceObservation{observed("web", readyPod("a", time.Second))}, 2 * time.Second, false, 0, noPodsAfter, "web 1/1, worker waiting"},
		{"no pod has been made yet", web, []ServiceObservation{with(observed("web"), func(s *ServiceObservation) { s.Desired = 1 })}, time.Second, false, 0, noPodsAfter, "web 0/1"},
		{"a pod that is being deleted counts for nothing", web, []ServiceObservation{with(observed("web", readyPod("a", time.Second), deleting), func(s *ServiceObservation) { s.Desired = 1 })}, 2 * time.Second, true, time.Second, 0, "web 1/1"},
		{"a deleted pod is no replacement for a missing one", web, []ServiceObservation{observed("web", readyPod("a", time.Second), deleting)}, 2 * time.Second, false, 0, 0, "web 1/2"},
		{"a job keeps no pods", shop(spec.Job, spec.Web), []ServiceObservation{observed("web", readyPod("a", time.Second)), {Name: "job", Desired: 1}}, 2 * time.Second, true, time.Second, 0, "web 1/1"},
		{"an app of jobs alone is live once it is written", shop(spec.Job), nil, time.Second, true, 0, 0, ""},
		{"one crash may be bad luck", web, []ServiceObservation{observed("web", stuckPod("a", ContainerObservation{Waiting: "CrashLoopBackOff", Ended: 1, ExitCode: 3}))}, 2 * time.Second, false, 0, spec.DefaultHealthTimeout, "web 0/1"},
		{"a worker has not settled", worker, []ServiceObservation{observed("worker", readyPod("a", time.Second))}, 2 * time.Second, false, 0, time.Second + settleTime, "worker 0/1"},
		{"a worker has settled", worker, []ServiceObservation{observed("worker", readyPod("a", time.Second))}, time.Second + settleTime, true, time.Second, 0, "worker 1/1"},
		{"the earliest of several moments is looked at", worker, []ServiceObservation{observed("worker", readyPod("a", 3*time.Second), readyPod("b", 2*time.Second))}, 4 * time.Second, false, 0, 2*time.Second + settleTime, "worker 0/2"},
		{"a worker that was good before need not settle", rollback, []ServiceObservation{observed("web", readyPod("a", time.Second)), observed("worker", readyPod("b", time.Second))}, time.Second, true, time.Second, 0, "web 1/1, worker 1/1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Judge(test.release, Observation{Services: test.services}, noon(), after(test.now))
			if got.Cause != nil || got.Done != test.done || got.Message != test.message {
				t.Errorf("got done %t, %q, cause %+v; want done %t, %q", got.Done, got.Message, got.Cause, test.done, test.message)
			}
			if test.readyAt != 0 && !got.ReadyAt.Equal(after(test.readyAt)) {
				t.Errorf("got ready at %s, want %s", got.ReadyAt, after(test.readyAt))
			}
			if !test.done && test.recheck == 0 { // nothing else to wait for
				test.recheck = rolloutDeadline
			}
			checkRecheck(t, got, test.recheck)
		})
	}
}

func checkRecheck(t *testing.T, got Verdict, want time.Duration) {
	t.Helper()
	if want == 0 && !got.Recheck.IsZero() || want != 0 && !got.Recheck.Equal(after(want)) {
		t.Errorf("got recheck at %s, want %s after the objects were written", got.Recheck, want)
	}
}

func TestJudgeFailure(t *testing.T) {
	t.Parallel()
	container := func(c ContainerObservation) ServiceObservation { return observed("web", stuckPod("web-1", c)) }
	homeless := stuckPod("web-1", ContainerObservation{})
	homeless.Containers, homeless.Unschedulable, homeless.UnschedulableSince = nil, "0/3 nodes are available: 3 Insufficient cpu.", after(time.Second)
	noPods := observed("web")
	noPods.Desired = 1
	refused := noPods
	refused.Refused = `exceeded quota: team, requested: requests.cpu=2`
	unseen := observed("web", readyPod("web-1", 0))
	unseen.Observed = false
	late := stuckPod("web-1", ContainerObservation{Running: true})
	late.CreatedAt = after(time.Minute)
	afterGood := observed("web", readyPod("web-0", time.Second), stuckPod("web-1", ContainerObservation{Ended: 2, ExitCode: 1}))
	for _, test := range []struct {
		name    string
		service ServiceObservation
		now     time.Duration
		want    CauseKind // empty: no verdict yet
		recheck time.Duration
		message string
		next    string
	}{
		{"the image is not there", container(ContainerObservation{Waiting: "ErrImagePull", Message: `failed to resolve reference "registry.example/acme/storefront": not found`}), time.Second, CauseImagePull, 0, "web: the image cannot be pulled: not found", "has no such image"},
		{"the image has an impossible name", container(ContainerObservation{Waiting: "InvalidImageName"}), time.Second, CauseImagePull, 0, "InvalidImageName", "not one that a registry can have"},
		{"the container cannot be configured", container(ContainerObservation{Waiting: "CreateContainerConfigError", Message: `configmap "storefront-web-1" not found`}), time.Second, CauseConfig, 0, `there is no configmap "storefront-web-1"`, "re-run the workflow"},
		{"the command does not exist", container(ContainerObservation{Waiting: "RunContainerError", Message: `exec: "nodee": executable file not found in $PATH`}), time.Second, CauseConfig, 0, `there is no command "nodee" in the image`, "check run in inhaul.yaml"},
		{"it crashed twice", container(ContainerObservation{Waiting: "CrashLoopBackOff", Ended: 2, ExitCode: 3, EndReason: "Error"}), time.Second, CauseCrash, 0, "web: the container ended 2 times, last with exit code 3", "read the log"},
		{"it crashed twice and runs again", container(ContainerObservation{Running: true, Ended: 2, ExitCode: 3, EndReason: "Error"}), time.Second, CauseCrash, 0, "exit code 3", "read the log"},
		{"one new pod crashed and another is fine", afterGood, time.Second, CauseCrash, 0, "exit code 1", "read the log"},
		{"it ran out of memory", container(ContainerObservation{Ended: 2, ExitCode: 137, EndReason: "OOMKilled"}), time.Second, CauseOutOfMemory, 0, "out of memory: the container reached its memory limit and was killed (OOMKilled)", "raise memory"},
		{"it ended by itself", container(ContainerObservation{Ended: 2, EndReason: "Completed"}), time.Second, CauseCrash, 0, "exit code 0: a service has to keep running", "it ended by itself"},
		{"a signal ended it", container(ContainerObservation{Ended: 3, ExitCode: 139, EndReason: "Error"}), time.Second, CauseCrash, 0, "ended 3 times, last with exit code 139 (SIGSEGV)", "read the log"},
		{"no node takes it yet", observed("web", homeless), 20 * time.Second, "", time.Second + unschedulableAfter, "web 0/1", ""},
		{"no node takes it for long enough", observed("web", homeless), time.Second + unschedulableAfter, CauseUnschedulable, 0, "no node takes the pod: 0/3 nodes are available", "add nodes"},
		{"it is not ready yet", container(ContainerObservation{Running: true}), spec.DefaultHealthTimeout - time.Second, "", spec.DefaultHealthTimeout, "web 0/1", ""},
		{"it was never ready", container(ContainerObservation{Running: true}), spec.DefaultHealthTimeout, CauseNotReady, 0, "not ready within 1m55s", "health.timeout"},
		{"a pod made later has its own time", observed("web", late), spec.DefaultHealthTimeout, "", time.Minute + spec.DefaultHealthTimeout, "web 0/1", ""},
		{"the cluster refuses to make pods for long enough", refused, uncertainFor, CauseQuota, 0, "refuses to make pods: exceeded quota: team", "raise the quota"},
		{"no pod was made", noPods, noPodsAfter, CauseNoProgress, 0, "no pod was made within 1m30s", "kubectl get events"},
		{"the controller never saw the new version", unseen, noPodsAfter, CauseNoProgress, 0, "has not acted on the new version for 1m30s", "kube-controller-manager"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Judge(shop(spec.Web), Observation{Services: []ServiceObservation{test.service}}, noon(), after(test.now))
			if !strings.Contains(got.Message, test.message) {
				t.Errorf("got message %q, want %q in it", got.Message, test.message)
			}
			checkRecheck(t, got, test.recheck)
			if test.want == "" {
				if got.Done {
					t.Errorf("got a verdict (%+v), want none yet", got.Cause)
				}
				return
			}
			if !got.Done || got.Cause == nil {
				t.Fatalf("got %+v, want cause %s", got, test.want)
			}
			if got.Cause.Kind != test.want || got.Cause.Service != "web" || !strings.Contains(got.Cause.Next, test.next) {
				t.Errorf("got %+v, want kind %s of web with %q next", *got.Cause, test.want, test.next)
			}
		})
	}
}

// TestJudgeAServiceThatScales is about pods that its scaler adds while it rolls
// out, beyond those that the release has to have.
func TestJudgeAServiceThatScales(t *testing.T) {
	t.Parallel()
	scaled := shop(spec.Web)
	scaled.App.Services[0].Scale = spec.Scale{Min: 2, Max: 10}
	homeless := stuckPod("c", ContainerObservation{})
	homeless.Containers, homeless.Unschedulable, homeless.UnschedulableSince = nil, "0/3 nodes are available", after(time.Second)
	two := []PodObservation{readyPod("a", time.Second), readyPod("b", time.Second)}
	crashing := stuckPod("d", ContainerObservation{Ended: 2, ExitCode: 1})
	old := observed("web", append(two, homeless)...)
	old.Old = 1
	serving := observed("web", append(two, homeless)...)
	serving.Endpoints = 1
	quota := observed("web", two...)
	quota.Desired, quota.Refused = 3, "exceeded quota: team"
	const late = time.Second + unschedulableAfter
	for _, test := range []struct {
		name    string
		release Release
		service ServiceObservation
		now     time.Duration
		done    bool
		cause   CauseKind
	}{
		{"every pod that the scaler wants is ready", scaled, observed("web", append(two, readyPod("c", time.Second))...), 2 * time.Second, true, ""},
		{"one of them may still come up", scaled, observed("web", append(two, homeless)...), 2 * time.Second, false, ""},
		{"one of them finds no node", scaled, observed("web", append(two, homeless)...), late, true, ""},
		{"one of them waits for a node that is being added", scaled, observed("web", append(two, homelessPod(&Evidence{At: after(late), Events: []Event{nominated(0)}}))...), late, true, ""},
		{"one of them is over the quota, perhaps for a moment", scaled, quota, 2 * time.Second, false, ""},
		{"one of them is over the quota", scaled, quota, uncertainFor, true, ""},
		{"fewer than the release has to have", scaled, observed("web", two[0], homeless), late, true, CauseUnschedulable},
		{"an old pod cannot go", scaled, old, late, true, CauseUnschedulable},
		{"an old pod still serves", scaled, serving, late, true, CauseUnschedulable},
		{"one of them crashes", scaled, observed("web", append(two, homeless, crashing)...), late, true, CauseCrash},
		{"one of them crashes, and more are over the quota", scaled, func() ServiceObservation { q := quota; q.Pods = append(two, crashing); return q }(), late, true, CauseCrash},
		{"a service that does not scale", shop(spec.Web), observed("web", append(two, homeless)...), late, true, CauseUnschedulable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Judge(test.release, Observation{Services: []ServiceObservation{test.service}}, noon(), after(test.now))
			kind := CauseKind("")
			if got.Cause != nil {
				kind = got.Cause.Kind
			}
			if got.Done != test.done || kind != test.cause {
				t.Errorf("got done %t, cause %+v; want %t, %q", got.Done, got.Cause, test.done, test.cause)
			}
		})
	}
}

func TestJobsHaveNoRow(t *testing.T) {
	t.Parallel()
	r := shop(spec.Job, spec.Web)
	got := serviceStatus(r, Observation{Services: []ServiceObservation{{Name: "job", Desired: 1}, observed("web", readyPod("a", 0))}})
	if want := []ServiceStatus{{Name: "web", Desired: 1, Ready: 1}}; !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestJudgeNamesPodContainerAndExitCode(t *testing.T) {
	t.Parallel()
	service := observed("web", readyPod("web-0", time.Second), stuckPod("web-1", ContainerObservation{Ended: 2, ExitCode: 3}))
	got := Judge(shop(spec.Web), Observation{Services: []ServiceObservation{service}}, noon(), after(time.Second))
	if c := got.Cause; c == nil || c.Pod != "web-1" || c.Container != "main" || c.ExitCode != 3 {
		t.Errorf("got %+v, want container main of web-1 with exit code 3", c)
	}
}

func TestJudgeUsesTheServicesOwnTimeout(t *testing.T) {
	t.Parallel()
	r := shop(spec.Web)
	r.App.Services[0].Health.Timeout = "10s"
	o := Observation{Services: []ServiceObservation{observed("web", stuckPod("web-1", ContainerObservation{Running: true}))}}
	checkRecheck(t, Judge(r, o, noon(), after(9*time.Second)), 10*time.Second)
	if got := Judge(r, o, noon(), after(10*time.Second)); got.Cause == nil || got.Cause.Kind != CauseNotReady {
		t.Errorf("got %+v, want not ready", got)
	}
}

// TestJudgeComesToTheSameVerdictAtItsRecheck makes sure that the moment it asks
// to be called again is the moment it decides, so that no rollout sleeps on.
func TestJudgeComesToTheSameVerdictAtItsRecheck(t *testing.T) {
	t.Parallel()
	homeless := stuckPod("web-1", ContainerObservation{})
	homeless.Unschedulable, homeless.UnschedulableSince = "0/3 nodes are available", after(5*time.Second)
	none := observed("worker")
	none.Desired = 1
	for name, service := range map[string]ServiceObservation{
		"no node":    observed("worker", homeless),
		"not ready":  observed("worker", stuckPod("worker-1", ContainerObservation{Running: true})),
		"no pods":    none,
		"settling":   observed("worker", readyPod("worker-1", time.Second)),
		"not pulled": observed("worker", stuckPod("worker-1", ContainerObservation{Waiting: "ImagePullBackOff"})),
		"refused":    {Name: "worker", Desired: 1, Observed: true, Refused: "exceeded quota"},
		"not seen":   {Name: "worker", Desired: 1},
		"other name": {Name: "somebody else's", Desired: 1},
	} {
		o := Observation{Services: []ServiceObservation{service}}
		first := Judge(shop(spec.Worker), o, noon(), after(2*time.Second))
		if first.Done || first.Recheck.IsZero() {
			t.Errorf("%s: got %+v, want a moment to look again", name, first)
			continue
		}
		if at := Judge(shop(spec.Worker), o, noon(), first.Recheck); !at.Done {
			t.Errorf("%s: got %+v at its own recheck, want a verdict", name, at)
		}
		if before := Judge(shop(spec.Worker), o, noon(), first.Recheck.Add(-time.Nanosecond)); before.Done {
			t.Errorf("%s: got a verdict before its recheck", name)
		}
	}
}

// TestJudgeIsSureBeforeItIsFinal is about what kubelets and controllers say of
// something that may pass.
func TestJudgeIsSureBeforeItIsFinal(t *testing.T) {
	t.Parallel()
	waiting := func(reason, message string) ServiceObservation {
		return observed("web", stuckPod("web-1", ContainerObservation{Waiting: reason, Message: message}))
	}
	since := func(s ServiceObservation, at time.Duration) ServiceObservation {
		s.Pods[0].Containers[0].WaitingSince = after(at)
		return s
	}
	created := func(s ServiceObservation, at time.Duration) ServiceObservation {
		s.Pods[0].CreatedAt = after(at)
		return s
	}
	refused := ServiceObservation{Name: "web", Desired: 1, Observed: true, Refused: "exceeded quota: team", RefusedSince: after(25 * time.Second)}
	full := observed("web", readyPod("web-1", 0))
	full.Refused = "exceeded quota: team"
	const no, at = time.Duration(-1), time.Duration(0)
	for _, test := range []struct {
		name    string
		service ServiceObservation
		certain time.Duration // after the objects were written; 0: at once, -1: not by this
	}{
		{"no such tag", waiting("ErrImagePull", "manifest unknown"), at},
		{"no such image, in the back-off's words", waiting("ImagePullBackOff", `Back-off pulling image "x": ErrImagePull: x: not found`), at},
		{"no rights", waiting("ErrImagePull", "unexpected status: 401 Unauthorized"), at},
		{"access denied", waiting("ErrImagePull", "pull access denied, repository does not exist"), at},
		{"forbidden", waiting("ErrImagePull", "failed to fetch anonymous token: 403 Forbidden"), at},
		{"an invalid reference", waiting("ErrImagePull", "invalid reference format"), at},
		{"another architecture", waiting("ErrImagePull", "no match for platform in manifest"), at},
		{"an impossible name", waiting("InvalidImageName", ""), at},
		{"never to be pulled", waiting("ErrImageNeverPull", ""), at},
		{"a registry that does not answer, first try", waiting("ErrImagePull", "dial tcp: i/o timeout"), no},
		{"a repository whose name is such a word", waiting("ErrImagePull", `failed to do request: Head "https://registry.example/v2/access-denied/manifests/not-found": dial tcp: i/o timeout`), no},
		{"no word but the reason, first try", waiting("ErrImagePull", ""), no},
		{"a registry that is down", waiting("RegistryUnavailable", ""), no},
		{"a registry that does not answer, several tries", waiting("ImagePullBackOff", "dial tcp: i/o timeout"), uncertainFor},
		{"a rate limit", waiting("ImagePullBackOff", "429 Too Many Requests: toomanyrequests"), uncertainFor},
		{"several tries of a later pod", created(waiting("ImagePullBackOff", ""), time.Minute), time.Minute + uncertainFor},
		{"an image that the node cannot inspect", waiting("ImageInspectError", ""), uncertainFor},
		{"a ConfigMap that is not there", waiting("CreateContainerConfigError", `configmap "x" not found`), at},
		{"a ConfigMap that the kubelet has not seen", since(waiting("CreateContainerConfigError", "failed to sync configmap cache: timed out waiting for the condition"), 3*time.Second), 3*time.Second + uncertainFor},
		{"a busy node that still makes the container of before", waiting("CreateContainerError", `failed to reserve container name "web_x": name "web_x" is reserved for "4f1e"`), uncertainFor},
		{"a busy node", waiting("CreateContainerError", "context deadline exceeded"), uncertainFor},
		{"no room while old pods end", refused, 25*time.Second + uncertainFor},
		{"no room for a pod too many", full, no},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			judge := func(at time.Duration) Verdict {
				return Judge(shop(spec.Web), Observation{Services: []ServiceObservation{test.service}}, noon(), after(at))
			}
			if test.certain == at {
				if got := judge(0); got.Cause == nil {
					t.Errorf("got %+v, want a cause at once", got)
				}
				return
			}
			if test.certain == no {
				if got := judge(time.Minute); got.Cause != nil {
					t.Errorf("got %+v, want no cause", got.Cause)
				}
				return
			}
			before := judge(test.certain - time.Second)
			if before.Cause != nil {
				t.Errorf("a second before: got %+v, want no cause", before.Cause)
			}
			if test.certain < noPodsAfter {
				checkRecheck(t, before, test.certain)
			}
			if got := judge(test.certain); got.Cause == nil {
				t.Errorf("got %+v, want a cause", got)
			}
		})
	}
}
