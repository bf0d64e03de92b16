package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/spec"
)

func TestJudgePredeploy(t *testing.T) {
	t.Parallel()
	const limit = spec.DefaultTaskTimeout
	pod := func(c ContainerObservation) PodObservation { return stuckPod("predeploy-x", c) }
	of := func(change func(*PredeployObservation), pods ...PodObservation) PredeployObservation {
		o := PredeployObservation{StartedAt: after(time.Second), Pods: pods}
		if change != nil {
			change(&o)
		}
		return o
	}
	failed := func(reason string) func(*PredeployObservation) {
		return func(o *PredeployObservation) { o.Failed, o.Reason = true, reason }
	}
	running := pod(ContainerObservation{Running: true})
	homeless := pod(ContainerObservation{})
	homeless.Containers, homeless.Unschedulable, homeless.UnschedulableSince = nil, "0/3 nodes are available", after(2*time.Second)
	leaving := pod(ContainerObservation{Waiting: "ErrImagePull", Message: "not found"})
	leaving.Deleting = true
	for _, test := range []struct {
		name    string
		seen    PredeployObservation
		now     time.Duration
		done    bool
		kind    CauseKind
		message string
		recheck time.Duration
	}{
		{"it ended well", of(func(o *PredeployObservation) { o.Succeeded = true }), 3 * time.Second, true, "", "", 0},
		{"it runs", of(nil, running), 3 * time.Second, false, "", "", time.Second + limit + deadlineLateness},
		{"the controller has not begun", PredeployObservation{Pods: []PodObservation{running}}, 3 * time.Second, false, "", "", limit + deadlineLateness},
		{"the controller does not end it", of(nil, running), time.Second + limit + deadlineLateness, true, CausePredeploy, "predeploy: not done within 10m0s", 0},
		{"it failed", of(failed("BackoffLimitExceeded"), exitedPod(1)), 3 * time.Second, true, CausePredeploy, "predeploy: exit code 1", 0},
		{"a signal ended it", of(failed("BackoffLimitExceeded"), exitedPod(139)), 3 * time.Second, true, CausePredeploy, "predeploy: exit code 139 (SIGSEGV)", 0},
		{"it ran out of memory", of(failed("BackoffLimitExceeded"), pod(ContainerObservation{Ended: 1, ExitCode: 137, EndReason: "OOMKilled"})), 3 * time.Second, true, CausePredeploy, "predeploy: out of memory (OOMKilled)", 0},
		{"it will fail", of(func(o *PredeployObservation) { o.Reason = "BackoffLimitExceeded" }, exitedPod(1)), 3 * time.Second, true, CausePredeploy, "predeploy: exit code 1", 0},
		{"it failed and the pod does not show it yet", of(failed("BackoffLimitExceeded"), running), time.Second, false, "", "", podLateAfter},
		{"it failed and the pod never shows it", of(failed("BackoffLimitExceeded"), running), podLateAfter + 2*time.Second, true, CausePredeploy, "predeploy: its pod was lost before the command ended (BackoffLimitExceeded)", 0},
		{"it took too long", of(failed(reasonDeadline), running), time.Second, true, CausePredeploy, "predeploy: not done within 10m0s", 0},
		{"it took too long and its pod is gone", of(failed(reasonDeadline)), time.Second, true, CausePredeploy, "predeploy: not done within 10m0s", 0},
		{"it took too long without a start", of(failed(reasonDeadline), pod(ContainerObservation{Waiting: "ContainerCreating"})), time.Second, true, CausePredeploy, "not done within 10m0s: the container never started: ContainerCreating", 0},
		{"the cache does not have the Job yet", PredeployObservation{Missing: true}, 3 * time.Second, false, "", "", jobGoneAfter},
		{"the Job is gone", PredeployObservation{Missing: true}, jobGoneAfter, true, CausePredeploy, "predeploy: cancelled: somebody deleted its Job", 0},
		{"a Job that is being deleted is gone, whatever its pod does", of(func(o *PredeployObservation) { o.Missing = true }, running), jobGoneAfter, true, CausePredeploy, "cancelled: somebody deleted its Job", 0},
		{"no pod yet", of(nil), 3 * time.Second, false, "", "", uncertainFor},
		{"no pod for long", of(nil), noPodsAfter, true, CauseNoProgress, "predeploy: no pod was made within 1m30s", 0},
		{"the image cannot be pulled", of(nil, pod(ContainerObservation{Waiting: "ErrImagePull", Message: "not found"})), 3 * time.Second, true, CauseImagePull, "predeploy: the image cannot be pulled: not found", 0},
		{"the image may still come at the first try", of(nil, pod(ContainerObservation{Waiting: "ErrImagePull", Message: "i/o timeout"})), 3 * time.Second, false, "", "", time.Second + limit + deadlineLateness},
		{"the image may still come at another try", of(nil, pod(ContainerObservation{Waiting: "ImagePullBackOff", Message: "i/o timeout"})), 3 * time.Second, false, "", "", uncertainFor},
		{"the image does not come", of(nil, pod(ContainerObservation{Waiting: "ImagePullBackOff", Message: "i/o timeout"})), uncertainFor, true, CauseImagePull, "predeploy: the image cannot be pulled: i/o timeout", 0},
		{"the kubelet has not seen its Secret", of(nil, pod(ContainerObservation{Waiting: "CreateContainerConfigError", Message: "failed to sync secret cache"})), 3 * time.Second, false, "", "", uncertainFor},
		{"the container cannot be configured", of(nil, pod(ContainerObservation{Waiting: "CreateContainerConfigError", Message: "secret not found"})), 3 * time.Second, true, CauseConfig, "predeploy: the container cannot be started: secret not found", 0},
		{"a pod that is being deleted is no symptom", of(nil, leaving), 3 * time.Second, false, "", "", time.Second + limit + deadlineLateness},
		{"no node takes it yet", of(nil, homeless), 3 * time.Second, false, "", "", 2*time.Second + unschedulableAfter},
		{"no node takes it", of(nil, homeless), 2*time.Second + unschedulableAfter, true, CauseUnschedulable, "predeploy: no node takes the pod: 0/3", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			since := Sightings{Started: noon()}
			since.Note(test.seen, noon()) // the first sight
			since.Note(test.seen, after(test.now))
			got := JudgeTask(TaskPredeploy, spec.Task{}, test.seen, since, after(test.now))
			kind := CauseKind("")
			if got.Cause != nil {
				kind = got.Cause.Kind
			}
			if got.Done != test.done || kind != test.kind || !strings.Contains(got.Message, test.message) {
				t.Errorf("got done %t, %q, cause %+v; want %t, %q, cause %q", got.Done, got.Message, got.Cause, test.done, test.message, test.kind)
			}
			if got.Cause != nil && (got.Cause.Service != "" || got.Cause.Next == "") {
				t.Errorf("got %+v, want no service and what to do next", *got.Cause)
			}
			checkRecheck(t, got, test.recheck)
			if at := JudgeTask(TaskPredeploy, spec.Task{}, test.seen, since, got.Recheck); !got.Done && !at.Done && len(at.Ask) == 0 {
				t.Error("got neither a verdict nor a question at its own recheck")
			}
		})
	}
}

func TestSightings(t *testing.T) {
	t.Parallel()
	var s Sightings
	quiet, failing := PredeployObservation{}, PredeployObservation{Reason: reasonDeadline, Pods: []PodObservation{{}}}
	for _, step := range []struct {
		seen           PredeployObservation
		at             int
		quiet, failing int // minutes; -1: not
	}{
		{quiet, 1, 1, -1},
		{quiet, 2, 1, -1},
		{PredeployObservation{Missing: true}, 3, 1, -1},
		{PredeployObservation{Pods: []PodObservation{{}}}, 4, -1, -1},
		{quiet, 5, 5, -1},
		{failing, 6, -1, 6},
		{failing, 7, -1, 6},
	} {
		s.Note(step.seen, minutes(step.at))
		want := func(minute int) time.Time {
			if minute < 0 {
				return time.Time{}
			}
			return minutes(minute)
		}
		if !s.Quiet.Equal(want(step.quiet)) || !s.Failing.Equal(want(step.failing)) {
			t.Errorf("minute %d: got %+v, want quiet since %d, failing since %d", step.at, s, step.quiet, step.failing)
		}
	}
}

func TestACheckTellsThePredeployFromWhatFollows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		phase, shown Phase
		want         bool
	}{
		{Predeploying, Pending, true},
		{Predeploying, Predeploying, false},
		{Applying, Predeploying, true},
		{RollingOut, RollingOut, false},
	} {
		if got := (Release{Status: Status{Phase: test.phase, Reported: []Reported{{Way: WayCheck, Phase: test.shown}}}}).unreported(WayCheck); got != test.want {
			t.Errorf("%s, and the check shows %s: got unreported %t, want %t", test.phase, test.shown, got, test.want)
		}
	}
}
