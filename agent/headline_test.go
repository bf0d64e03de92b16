package agent

import (
	"fmt"
	"strings"
	"testing"
)

func TestHeadlinesSayWhatMattersFirst(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind          CauseKind
		message, want string
	}{
		{CauseCrash, "web: the container ended 2 times, last with exit code 137 (SIGKILL)", "web: exit code 137 (SIGKILL), twice"},
		{CauseCrash, "web: the container ended 5 times, last with exit code 0: a service has to keep running", "web: exit code 0, 5 times"},
		{CauseCrash, "web: the container ended 2 times, last with exit code 3; putting release 41 back failed too: no", "web: exit code 3, twice"},
		{CauseProbe, "web: the kubelet ended the container 2 times, since health.liveness fails: GET /live on port 80 is answered with 503", "web: GET /live answers 503"},
		{CauseProbe, "web: GET /healthz on port 8080 has no good answer (not ready within 20s): connections were refused at first", "web: GET /healthz on port 8080 has no good answer"},
		{CauseUnschedulable, "web: no node takes the pod: 0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu.", "web: no node has enough memory and cpu"},
		{CauseUnschedulable, "web: no node takes the pod: 0/3 nodes are available: 2 Insufficient nvidia.com/gpu.; the node autoscaler cannot help: did not tolerate taint", "web: no node has enough nvidia.com/gpu"},
		{CauseUnschedulable, "web: no node takes the pod: 0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s).", "web: no node takes the pod"},
		{CauseQuota, "web: the cluster refuses to make pods: must specify limits.cpu", "web: pods refused: limits of the namespace"},
		{CauseAdmission, `web: the cluster refuses to make pods: admission webhook "x" denied the request: no`, "web: the cluster refuses to make pods"},
		{CauseSecret, `web: TOKEN: there is no Secret "shop" in namespace "x": kubectl -n x create`, `web: TOKEN: no Secret "shop"`},
		{CauseConfig, "web: the shell does not find the command (exit code 127): sh: nodee: not found", "web: the shell does not find the command"},
		{CauseNotReady, "another: runs, but was not ready within 20s", "another: not ready within 20s"},
	} {
		c := Cause{Kind: test.kind, Service: "web", Message: test.message}
		if got := c.headline(); got != test.want {
			t.Errorf("%q: got %q, want %q", test.message, got, test.want)
		}
	}
}

func TestADescriptionKeepsWhatServes(t *testing.T) {
	t.Parallel()
	for _, kind := range []CauseKind{CauseConfig, CauseCrash, CauseProbe, CauseRejected, CausePredeploy} {
		r := told(Failed, func(r *Release) {
			red(r)
			r.Status.Cause.Kind, r.Status.Cause.Message = kind, "web: "+strings.Repeat("langsam ", 100)
		})
		before := served()
		before.Number, r.Number = 123456, 123457
		v := seen(r, before)
		for _, description := range []string{r.deployment(v).Description, r.commitStatus(v).Description} {
			if !strings.HasSuffix(description, " · release 123456 is not back in place") {
				t.Errorf("%s: got %q, want what serves at its end", kind, description)
			}
		}
	}
}

func TestADenialSaysWhatMayNotHappenWhere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		denied Denied
		want   string
	}{
		{Denied{Rule: "policy: ref", Field: "ref", Got: "refs/heads/x", Want: "y", By: `the "main" rule`}, "refs/heads/x may not deploy to production"},
		{Denied{Rule: "policy: repository ID", Field: "repository ID", Got: "7 (acme/shop)", Want: "8", By: "main"}, "the repository acme/shop may not deploy to production"},
		{Denied{Rule: "policy: event", Field: "event", Got: "schedule", Want: "push", By: "main"}, "the event schedule may not deploy to production"},
		{Denied{Rule: "policy: GitHub environment", Field: "GitHub environment", Want: "production", By: "main"}, "without GitHub environment nothing may deploy to production"},
		{Denied{Rule: "policy: kind", Field: "kind", Got: "rollback", Want: "x", By: "main"}, "a rollback is not allowed in production"},
		{Denied{Rule: "policy: environment", Field: "environment", Got: "production", Want: "staging", By: "main"}, "no rule of the App is about production"},
		{Denied{Rule: ruleNone, Field: "environment", Got: "production", Want: "a rule that names it"}, "no rule of the App is about production"},
		{Denied{Rule: "policy: environment", Field: "environment", Got: "prod", Want: "one of the App's environments"}, "the App has no environment prod"},
		{Denied{Rule: "policy: previews", Field: "environment", Got: "pr-7", Want: "one"}, "the App has no previews"},
		{Denied{Rule: "policy: previews", Field: "number of previews", Got: "3", Want: "at most 2"}, "there are as many previews as the App may have"},
		{Denied{Rule: "policy: image", Field: "image repository", Got: "evil.example/x", Want: "y"}, "images of evil.example/x may not run in production"},
		{Denied{Rule: "policy: domains", Field: `a domain of service "web"`, Got: "a.example", Want: "b", Next: "ask"}, "the domain a.example is not of production"},
	} {
		r := Refusal{Line: Line{App: "shop", Environment: "production"}, Rule: test.denied.Rule, Message: test.denied.Error()}
		if got, want := r.title(), "Denied: "+test.want; got != want {
			t.Errorf("%s: got %q, want %q", test.denied.Error(), got, want)
		}
	}
	r := Refusal{Rule: "policy: app", Message: fmt.Sprintf("the intent is for app %q", "x")}
	if got := r.title(); got != "Denied: policy: app" {
		t.Errorf("got %q, want the rule where nothing else is known", got)
	}
}

func TestWhatPeopleCopyHasNothingInvisibleInIt(t *testing.T) {
	t.Parallel()
	r := told(Succeeded, live)
	v := seen(r)
	v.Environment.URL = "https://www.storefront.example/"
	if got, want := r.summary(v), "is live at [www.storefront.example](https://www.storefront.example/)."; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
}

func TestCPUsAreToldInCPUs(t *testing.T) {
	t.Parallel()
	for quantity, want := range map[string]string{"250m": "0.25 CPUs", "1000m": "1 CPU", "1": "1 CPU", "1000": "1000 CPUs", "1.5": "1.5 CPUs"} {
		if got := cpus(quantity); got != want {
			t.Errorf("%s: got %q, want %q", quantity, got, want)
		}
	}
}
