package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// homelessPod is one that no node has taken since a second after the objects were
// written, and what the cluster answered when it was asked about it.
func homelessPod(answer *Evidence) PodObservation {
	pod := stuckPod("web-1", ContainerObservation{})
	pod.Containers, pod.Unschedulable, pod.UnschedulableSince = nil, "0/3 nodes are available: 3 Insufficient cpu.", after(time.Second)
	pod.Evidence = answer
	return pod
}

func nominated(at time.Duration) Event {
	return Event{Reason: "Nominated", Source: "karpenter", Message: "Pod should schedule on: nodeclaim/default-tn8fg", Last: after(at)}
}

func gaveUp(at time.Duration) Event {
	return Event{Reason: "FailedScheduling", Source: "karpenter", Message: "Failed to schedule pod, incompatible with nodepool", Last: after(at)}
}

// TestJudgeAPodThatWaitsForANode is about what a node autoscaler answers.
func TestJudgeAPodThatWaitsForANode(t *testing.T) {
	t.Parallel()
	scheduler := gaveUp(2 * time.Second)
	scheduler.Source = "default-scheduler"
	auto := gaveUp(5 * time.Second)
	auto.Source = "eks-auto-mode/compute"
	const late, since = time.Second + unschedulableAfter, time.Second
	answered := func(at time.Duration, events ...Event) *Evidence { return &Evidence{At: after(at), Events: events} }
	unread := func(at time.Duration) *Evidence { return &Evidence{At: after(at), Unread: true} }
	for _, test := range []struct {
		name   string
		answer *Evidence
		now    time.Duration
		red    bool
		asks   bool
		waits  bool
	}{
		{"it is too early to ask", nil, late - time.Second, false, false, false},
		{"nobody was asked", nil, late, true, true, false},
		{"the answer is old", answered(late-evidenceAge, nominated(0)), late, true, true, false},
		{"nobody answers", answered(late), late, true, false, false},
		{"the scheduler alone says something", answered(late, scheduler), late, true, false, false},
		{"a node is being added", answered(late, nominated(5*time.Second)), late, false, false, true},
		{"none can be added", answered(late, gaveUp(5*time.Second)), late, true, false, false},
		{"EKS Auto Mode can add none", answered(late, nominated(2*time.Second), auto), late, true, false, false},
		{"none could be added at first", answered(late, gaveUp(2*time.Second), nominated(5*time.Second)), late, false, false, true},
		{"the autoscaler changed its mind", answered(late, nominated(2*time.Second), gaveUp(5*time.Second)), late, true, false, false},
		{"of both at one time the later one counts", answered(late, gaveUp(5*time.Second), nominated(5*time.Second)), late, false, false, true},
		{"the cluster does not tell", unread(late), late, false, false, false},
		{"the cluster does not tell for long", unread(late + unreadPatience), late + unreadPatience, true, false, false},
		{"it is still being added", answered(since+nodePatience-time.Second, nominated(5*time.Second)), since + nodePatience - time.Second, false, false, true},
		{"it never came", answered(since+nodePatience, nominated(5*time.Second)), since + nodePatience, true, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Judge(shop(spec.Web), Observation{Services: []ServiceObservation{observed("web", homelessPod(test.answer))}}, noon(), after(test.now))
			if red := got.Cause != nil && got.Cause.Kind == CauseUnschedulable; red != test.red || got.Done != test.red {
				t.Errorf("got done %t, cause %+v; want red: %t", got.Done, got.Cause, test.red)
			}
			if (len(got.Ask) > 0) != test.asks || (got.Waits != "") != test.waits {
				t.Errorf("got questions %+v, waits for %q; want %t, %t", got.Ask, got.Waits, test.asks, test.waits)
			}
			if !test.red && !got.Recheck.After(after(test.now)) {
				t.Errorf("got recheck at %s, want one after %s", got.Recheck, after(test.now))
			}
		})
	}
}

// TestAPodThatANodeTookLateHasItsOwnTime is about a node that came after minutes.
func TestAPodThatANodeTookLateHasItsOwnTime(t *testing.T) {
	t.Parallel()
	pod := stuckPod("web-1", ContainerObservation{Running: true})
	pod.ScheduledAt = after(4 * time.Minute)
	o := Observation{Services: []ServiceObservation{observed("web", pod)}}
	checkRecheck(t, Judge(shop(spec.Web), o, noon(), after(5*time.Minute)), 4*time.Minute+spec.DefaultHealthTimeout)
	o.Services[0].Pods[0].Containers[0] = ContainerObservation{Name: "main", Waiting: "ImagePullBackOff"}
	checkRecheck(t, Judge(shop(spec.Web), o, noon(), after(4*time.Minute)), 4*time.Minute+uncertainFor)
}

// TestWaitingForANodeIsSaidAndEnds follows the loop of a release whose pod waits
// for a node that never comes, or that is called off.
func TestWaitingForANodeIsSaidAndEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		calls int // answers before the autoscaler gives up; 0: it never does
		red   time.Duration
	}{
		{"it never comes", 0, nodePatience},
		{"it is called off", 3, unschedulableAfter + 3*evidenceAge},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, v := newWorld(t), push(1, 0, 1)
				w.onWatch = func(r Release, s *ServiceObservation) {
					s.Pods[0].Ready, s.Pods[0].Unschedulable, s.Pods[0].UnschedulableSince = false, "0/3 nodes are available", r.Status.At(StepApplied)
				}
				w.onAsk = func(Question) Evidence {
					e := Evidence{Events: []Event{nominated(0)}}
					if test.calls > 0 && len(w.questions) > test.calls {
						e.Events = append(e.Events, gaveUp(time.Second))
					}
					return e
				}
				w.publish(t, v)
				w.runUntil(w.now().Add(2*time.Minute), nil)
				if test.calls == 0 {
					if r := w.releases[0]; r.Status.Phase != RollingOut || !strings.Contains(r.Status.Message, "web waits for a node that the autoscaler adds: Pod should schedule on") {
						t.Errorf("got %s, %q; want it said what is waited for", r.Status.Phase, r.Status.Message)
					}
					if c := w.checks[w.releases[0].Intent]; c.Status != InProgress || c.Title != "Waiting for a node · 0 of 1 service ready" || !strings.Contains(c.Summary, "Pod should schedule on") {
						t.Errorf("got check %+v, want it said there, too", c)
					}
				}
				w.runUntil(w.now().Add(time.Hour), nil)
				r := w.releases[0].Status
				if r.Phase != Failed || r.Cause.Kind != CauseUnschedulable {
					t.Fatalf("got %s with %+v", r.Phase, r.Cause)
				}
				if took := r.At(StepVerdict).Sub(r.At(StepApplied)); took < test.red || took > test.red+evidenceAge {
					t.Errorf("got red after %s, want it after %s", took, test.red)
				}
				if most := int(test.red/evidenceAge) + 2; len(w.questions) > most {
					t.Errorf("got %d questions, want at most %d", len(w.questions), most)
				}
			})
		})
	}
}

// TestTheClusterIsAskedOnlyInTrouble makes sure that a good release costs no
// question, and a bad one one.
func TestTheClusterIsAskedOnlyInTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, v1, v2 := newWorld(t), push(1, 0, 1), push(2, 2, 3)
		w.broken[v2.image()] = true
		w.publish(t, v1)
		w.run()
		if len(w.questions) != 0 {
			t.Errorf("got the questions %+v about a good release", w.questions)
		}
		w.onAsk = func(Question) Evidence {
			return Evidence{Log: "sh: node: not found"}
		}
		w.publish(t, v2)
		w.run()
		if len(w.questions) != 1 || w.questions[0].Name != "web" || w.questions[0].Container != "web" {
			t.Errorf("got the questions %+v, want one about the pod and its log", w.questions)
		}
	})
}

// TestJudgeAsksOnceAtTheFirstEnd is about a program that may never have begun.
func TestJudgeAsksOnceAtTheFirstEnd(t *testing.T) {
	t.Parallel()
	judge := func(code int, e *Evidence) Verdict {
		pod := stuckPod("web-1", ContainerObservation{Ended: 1, ExitCode: code, EndReason: "Error"})
		pod.Evidence = e
		return Judge(shop(spec.Web), Observation{Services: []ServiceObservation{observed("web", pod)}}, noon(), after(2*time.Second))
	}
	for _, code := range []int{1, 126, 255} {
		if got := judge(code, nil); got.Done || len(got.Ask) != 1 || got.Ask[0].Container != "main" {
			t.Errorf("exit code %d: got %+v, want a question about the log", code, got)
		}
		if got := judge(code, &Evidence{At: after(-time.Hour), Logged: true, Log: "no such table"}); got.Done || len(got.Ask) != 0 {
			t.Errorf("exit code %d: got %+v, want no verdict and no second question", code, got)
		}
		if got := judge(code, &Evidence{Logged: true, Log: "exec /bin/app: exec format error"}); got.Cause == nil || got.Cause.Kind != CauseArchitecture {
			t.Errorf("exit code %d: got %+v, want another CPU", code, got)
		}
	}
	for _, code := range []int{2, 137} {
		if got := judge(code, nil); got.Done || len(got.Ask) != 0 {
			t.Errorf("exit code %d: got %+v, want neither verdict nor question", code, got)
		}
	}
	if got := judge(126, &Evidence{Logged: true, Log: "sh: 1: exec: /app: Exec format error"}); got.Cause == nil || got.Cause.Kind != CauseArchitecture {
		t.Errorf("a shell's word: got %+v, want another CPU", got)
	}
}

func TestSignalNames(t *testing.T) {
	t.Parallel()
	for number, want := range map[int]string{1: "SIGHUP", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM", 31: "SIGSYS", 16: "signal 16", 42: "signal 42", 99: "signal 99", 0: "signal 0", -1: "signal -1"} {
		if got := signalName(number); got != want {
			t.Errorf("%d: got %s, want %s", number, got, want)
		}
	}
}

func TestWhoRefuses(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]CauseKind{
		`pods "x" is forbidden: exceeded quota: compute, requested: pods=1`:                                                                                        CauseQuota,
		`pods "x" is forbidden: failed quota: compute: must specify limits.memory for: web`:                                                                        CauseQuota,
		`pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi`:                                                                       CauseQuota,
		`pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`:                                                                    CauseAdmission,
		`admission webhook "policy.example.com" denied the request: no`:                                                                                            CauseAdmission,
		`deployments.apps "shop-web" is forbidden: ValidatingAdmissionPolicy 'replicas' with binding 'replicas' denied request: at most 5`:                         CauseAdmission,
		`Internal error occurred: failed calling webhook "x.example.com": failed to call webhook: Post "https://x.svc:443": dial tcp: connect: connection refused`: CauseAdmission,
		`Deployment.apps "shop-web" is invalid: spec.replicas: Invalid value: -1`:                                                                                  CauseRejected,
	} {
		if got, next := refusedBy(word); got != want || next == "" {
			t.Errorf("%s: got %s with %q next, want %s", word, got, next, want)
		}
	}
}
