package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/inhaul/inhaul/cli"
)

const (
	agentSpace = "apis/inhaul.dev/v1alpha1/namespaces/inhaul/"
	admission  = "apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
	rbac       = "apis/rbac.authorization.k8s.io/v1/cluster"
	ofPreview  = "namespaces/shop-pr-7/"
)

// ward is a fake: a cluster by its paths, without their queries. An object that is empty
// may not be read.
type ward struct {
	objects map[string]string
	reached []string          // addresses that pods reach
	pod     string            // status of pods, instead of one that runs and ends well
	refuse  error             // of what is made
	made    map[string]string // by path
	deleted []string
}

// healthy is a cluster in which all is fine.
func healthy() *ward {
	bound := func(name string) string {
		return fmt.Sprintf(`{"spec": {"policyName": %q, "validationActions": ["Deny"]}}`, name)
	}
	service := func(ip string) string {
		return fmt.Sprintf(`{"items": [{"spec": {"clusterIP": "None"}}, {"spec": {"clusterIP": %q, "ports": [{"port": 80}]}}]}`, ip)
	}
	return &ward{
		reached: []string{"$SERVER 8080", "$dns 53", "1.1.1.1 443"},
		made:    map[string]string{},
		objects: map[string]string{
			agentSpace + "apps": `{"items": [{"metadata": {"name": "shop"}, "spec": {"environments": [{"namespace": "shop"}],
				"previews": {"databases": {"postgres": {"image": "x"}}}, "rules": [{"environments": ["pr-*"]}]}}, {"metadata": {"name": "plain"}, "spec": {}}]}`,
			agentSpace + "previews": `{"items": [
				{"metadata": {"name": "shop-pr-7", "uid": "u7"}, "spec": {"app": "shop", "pullRequest": 7}, "status": {"phase": "Active", "namespace": "shop-pr-7"}},
				{"metadata": {"name": "shop-pr-8", "uid": "u8"}, "spec": {"app": "shop", "pullRequest": 8}, "status": {"phase": "Destroying", "message": "a finalizer", "destroys": [{"admittedAt": "1999-12-31T23:55:00Z"}]}},
				{"metadata": {"name": "shop-pr-9", "uid": "u9"}, "spec": {"app": "shop", "pullRequest": 9}, "status": {"phase": "Waiting", "waiting": {"since": "1999-12-31T12:00:00Z"}}}]}`,
			"api/v1/namespaces":                                                         `{"items": [{"metadata": {"name": "shop-pr-7", "labels": {"inhaul.dev/preview": "u7", "inhaul.dev/app": "shop"}}}]}`,
			admission + "ies/inhaul-namespace":                                          `{}`,
			admission + "ies/inhaul-preview":                                            `{}`,
			admission + "ybindings/inhaul-namespace":                                    bound("inhaul-namespace"),
			admission + "ybindings/inhaul-preview":                                      bound("inhaul-preview"),
			rbac + "roles/inhaul-agent-previews":                                        `{}`,
			rbac + "rolebindings/inhaul-agent-previews":                                 `{"roleRef": {"name": "inhaul-agent-previews"}, "subjects": [{"kind": "ServiceAccount", "name": "inhaul-agent", "namespace": "inhaul"}]}`,
			"apis/inhaul.dev/v1alpha1/" + ofPreview + "releases":                        `{"items": [{"spec": {"app": "shop", "environment": "pr-7", "number": 2, "definition": {"databases": [{"name": "db", "type": "postgres"}]}}}, {"spec": {"app": "shop", "environment": "pr-7", "number": 1, "definition": {"databases": [{"name": "q", "type": "redis"}]}}}]}`,
			"api/v1/" + ofPreview + "resourcequotas/inhaul-preview":                     `{}`,
			"api/v1/" + ofPreview + "limitranges/inhaul-preview":                        `{}`,
			"apis/networking.k8s.io/v1/" + ofPreview + "networkpolicies/inhaul-preview": `{"spec": {"policyTypes": ["Ingress", "Egress"]}}`,
			"api/v1/namespaces/shop/services":                                           service("10.96.0.5"),
			"api/v1/" + ofPreview + "services":                                          service("10.96.0.7"),
		},
	}
}

func (w *ward) Read(ctx context.Context, path string) ([]byte, error) {
	path, query, _ := strings.Cut(path, "?")
	if strings.Contains(query, "continue=more") {
		path += " more"
	}
	rest, probed := strings.CutPrefix(path, "api/v1/namespaces/inhaul-doctor-")
	switch object, found := w.objects[path]; {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case probed && strings.HasSuffix(rest, "/log"):
		return []byte(w.log()), nil
	case probed && w.pod != "":
		return []byte(`{"status": ` + w.pod + `}`), nil
	case probed && strings.HasSuffix(rest, "/server"):
		return []byte(`{"status": {"phase": "Running", "podIP": "10.0.0.9"}}`), nil
	case probed:
		return []byte(`{"status": {"phase": "Succeeded"}}`), nil
	case !found:
		return nil, fmt.Errorf("%w: %s", cli.ErrNotFound, path)
	case object == "":
		return nil, cli.ErrForbidden
	case object == "broken":
		return nil, errors.New("connection refused")
	default:
		return []byte(object), nil
	}
}

// log does what the script of the prober says, as far as it concerns what is tried.
func (w *ward) log() string {
	var pod struct {
		Spec struct {
			Containers []struct{ Command []string }
		}
	}
	if err := json.Unmarshal([]byte(w.made["Pod prober"]), &pod); err != nil {
		return err.Error()
	}
	var log strings.Builder
	for line := range strings.Lines(pod.Spec.Containers[0].Command[2]) {
		rest, is := strings.CutPrefix(line, "if try ")
		if !is {
			continue
		}
		address, _, _ := strings.Cut(rest, ";")
		address, _, _ = strings.Cut(address, " ||")
		_, number, _ := strings.Cut(rest, "else echo ")
		number, _, _ = strings.Cut(number, "=")
		word := "refused"
		if slices.Contains(w.reached, address) {
			word = "reached"
		}
		fmt.Fprintf(&log, "%s=%s\n", number, word)
	}
	return log.String()
}

func (w *ward) Make(_ context.Context, path string, object []byte) error {
	var o struct {
		Kind     string
		Metadata struct{ Name string }
	}
	if err := json.Unmarshal(object, &o); err != nil {
		return err
	}
	w.made[o.Kind+" "+o.Metadata.Name] = string(object)
	if strings.HasPrefix(path, "api/v1/namespaces/") || o.Kind == "Namespace" {
		return w.refuse
	}
	return nil
}

func (w *ward) Delete(ctx context.Context, path string) error {
	if ctx.Err() == nil {
		w.deleted = append(w.deleted, path)
	}
	return ctx.Err()
}

// doctor runs the command on that cluster.
func doctor(ctx context.Context, w *ward, args ...string) (code int, stdout, stderr string) {
	var out, complaint strings.Builder
	code = cli.Commands{
		Stdout: &out, Stderr: &complaint, Now: time.Now,
		Connect: func(cli.Connection) (cli.Cluster, error) { return cli.Cluster{Inspection: w, Trials: w}, nil },
	}.Run(ctx, append([]string{"doctor", "previews"}, args...))
	return code, out.String(), complaint.String()
}

func TestDoctorFindsNothingToMend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := healthy()
		code, stdout, stderr := doctor(t.Context(), w, "--probe", "--json")
		var findings []struct{ Check, State, Found string }
		if err := json.Unmarshal([]byte(stdout), &findings); err != nil || code != 0 || stderr != "" || len(findings) != 19 {
			t.Fatalf("got code %d, %v, %s and %d findings:\n%s", code, err, stderr, len(findings), stdout)
		}
		for _, f := range findings {
			if f.State != "fine" {
				t.Errorf("%s: got %s, %s", f.Check, f.State, f.Found)
			}
		}
		if len(w.deleted) != 1 || !strings.HasPrefix(w.deleted[0], "api/v1/namespaces/inhaul-doctor-") {
			t.Errorf("deleted %v, want the namespace that was made", w.deleted)
		}
		for what, object := range w.made {
			if strings.Contains(object, "inhaul.dev/preview") {
				t.Errorf("%s has the label of previews, and is the agent's to delete:\n%s", what, object)
			}
		}
	})
}

func TestDoctorSaysWhatToMend(t *testing.T) {
	t.Parallel()
	const walls = "apis/networking.k8s.io/v1/" + ofPreview + "networkpolicies/inhaul-preview"
	for name, test := range map[string]struct {
		path, object string // "absent": it is not there
		want         []string
	}{
		"no app has previews":      {agentSpace + "apps", `{"items": [{"metadata": {"name": "shop"}}]}`, []string{"no App has spec.previews", "write spec.previews"}},
		"no rule names pr-*":       {agentSpace + "apps", `{"items": [{"metadata": {"name": "shop"}, "spec": {"previews": {"databases": {"postgres": {}}}, "rules": [{"environments": ["production"]}]}}]}`, []string{"✗  a rule for pr-*", "add a rule"}},
		"no class of databases":    {agentSpace + "apps", `{"items": [{"metadata": {"name": "shop"}, "spec": {"previews": {}, "rules": [{"environments": ["pr-*"]}]}}]}`, []string{"shop: postgres", "spec.previews.databases"}},
		"no policy":                {admission + "ies/inhaul-namespace", "absent", []string{"it is not there", "preview-admission.yaml"}},
		"no policy for who wakes":  {admission + "ies/inhaul-preview", "absent", []string{"it is not there", "preview-wake.yaml"}},
		"a policy without binding": {admission + "ybindings/inhaul-namespace", "absent", []string{"it is not bound", "preview-admission.yaml"}},
		"a policy that warns":      {admission + "ybindings/inhaul-preview", `{"spec": {"policyName": "inhaul-preview", "validationActions": ["Warn"]}}`, []string{"it does not refuse"}},
		"no role":                  {rbac + "roles/inhaul-agent-previews", "absent", []string{"✗  role inhaul-agent-previews", "it is not there", "deploy/rbac.yaml"}},
		"a role without binding":   {rbac + "rolebindings/inhaul-agent-previews", "absent", []string{"it is not bound"}},
		"a role of somebody else":  {rbac + "rolebindings/inhaul-agent-previews", `{"roleRef": {"name": "inhaul-agent-previews"}, "subjects": [{"kind": "ServiceAccount", "name": "inhaul-agent", "namespace": "old"}]}`, []string{"not bound to ServiceAccount inhaul-agent of namespace inhaul"}},
		"one that does not end":    {agentSpace + "previews", `{"items": [{"metadata": {"name": "shop-pr-8", "uid": "u7"}, "status": {"phase": "Destroying", "message": "a finalizer", "destroys": [{"admittedAt": "1999-12-31T23:00:00Z"}]}}]}`, []string{"shop-pr-8 since 1h (a finalizer)", "kubectl describe namespace"}},
		"one that waits for room":  {agentSpace + "previews", `{"items": [{"metadata": {"name": "shop-pr-9", "uid": "u7"}, "status": {"phase": "Waiting", "waiting": {"since": "1999-12-29T00:00:00Z"}}}]}`, []string{"shop-pr-9 since 3d", "spec.previews.max"}},
		"a namespace of nobody":    {"api/v1/namespaces", `{"items": [{"metadata": {"name": "shop-pr-1", "labels": {"inhaul.dev/preview": "u1"}}}]}`, []string{"✗  namespaces on record", "shop-pr-1"}},
		"no quota":                 {"api/v1/" + ofPreview + "resourcequotas/inhaul-preview", "absent", []string{"✗  quota of each preview", "shop-pr-7 has none"}},
		"no limits":                {"api/v1/" + ofPreview + "limitranges/inhaul-preview", "absent", []string{"✗  limits of each preview", "shop-pr-7 has none"}},
		"no walls":                 {walls, "absent", []string{"✗  walls of each preview", "shop-pr-7 has none"}},
		"walls that let all out":   {walls, `{"spec": {"policyTypes": ["Ingress"]}}`, []string{"shop-pr-7 lets everything out"}},
		"walls that let all in":    {walls, `{"spec": {"policyTypes": ["Egress"]}}`, []string{"shop-pr-7 lets everything in"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := healthy()
				if w.objects[test.path] = test.object; test.object == "absent" {
					delete(w.objects, test.path)
				}
				code, stdout, stderr := doctor(t.Context(), w)
				if code != 1 || stderr != "" || strings.Count(stdout, "✗") != 1 {
					t.Errorf("got code %d, %q and\n%s\nwant one thing to mend", code, stderr, stdout)
				}
				for _, want := range test.want {
					if !strings.Contains(stdout, want) {
						t.Errorf("got\n%s\nwant %q", stdout, want)
					}
				}
			})
		})
	}
}

func TestDoctorKnowsWhatIsMeant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := healthy()
		w.reached = w.reached[:1] // no DNS, and no internet
		w.objects[agentSpace+"apps more"] = strings.Replace(w.objects[agentSpace+"apps"], `"previews": {`, `"previews": {"egress": {"open": true}, `, 1)
		w.objects[agentSpace+"apps"] = `{"metadata": {"continue": "more"}, "items": []}`
		w.objects["apis/networking.k8s.io/v1/"+ofPreview+"networkpolicies/inhaul-preview"] = `{"spec": {"policyTypes": ["Ingress"]}}`
		code, stdout, stderr := doctor(t.Context(), w, "--probe")
		if code != 1 || strings.Count(stdout, "✗") != 1 || !strings.Contains(stdout, "not reached: App shop lets more out") {
			t.Errorf("got code %d, %q and\n%s\nwant the internet alone to be mended", code, stderr, stdout)
		}
	})
}

func TestDoctorWithoutRights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := healthy()
		for path := range w.objects {
			if !strings.HasPrefix(path, agentSpace) {
				w.objects[path] = ""
			}
		}
		if code, stdout, stderr := doctor(t.Context(), w); code != 0 || strings.Count(stdout, "–") != 8 {
			t.Errorf("got code %d, %q and\n%s\nwant 8 checks that were not done", code, stderr, stdout)
		}
		w.objects[agentSpace+"apps"] = ""
		if code, _, stderr := doctor(t.Context(), w); code != 1 || !strings.Contains(stderr, "does not show Apps in namespace inhaul") {
			t.Errorf("got code %d and %q", code, stderr)
		}
		w.objects[agentSpace+"apps"] = "broken"
		if code, _, stderr := doctor(t.Context(), w); code != 2 || !strings.Contains(stderr, "connection refused") {
			t.Errorf("got code %d and %q", code, stderr)
		}
		if code, _, stderr := doctor(t.Context(), healthy(), "--app", "none"); code != 1 || !strings.Contains(stderr, "no App none") {
			t.Errorf("got code %d and %q", code, stderr)
		}
		for _, bad := range []string{"1.1.1.1", "1.1.1.1:0", "$(id):80", "-e:80", ":80", "a b:80", "a:+80x"} {
			if code, _, stderr := doctor(t.Context(), healthy(), "--internet="+bad); code != 1 || !strings.Contains(stderr, "want HOST:PORT") {
				t.Errorf("%q: got code %d and %q", bad, code, stderr)
			}
		}
	})
}

func TestDoctorProbeSaysWhatToMend(t *testing.T) {
	t.Parallel()
	all := []string{"$SERVER 8080", "$dns 53", "1.1.1.1 443", "$KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT", "169.254.169.254 80", "169.254.170.23 80", "10.96.0.5 80", "10.96.0.7 80"}
	for name, test := range map[string]struct {
		change func(*ward)
		code   int
		marks  int // of what is to be mended
		want   []string
	}{
		"nothing is enforced": {func(w *ward) { w.reached = all }, 1, 5, []string{"set enableNetworkPolicy of the VPC CNI", "✗  not the API server", "✗  not a declared environment", "✗  not another preview", "✗  not EKS Pod Identity"}},
		"nothing is reached":  {func(w *ward) { w.reached = nil }, 1, 3, []string{"✗  reaches its own namespace", "spec.previews.egress.allow", "--internet HOST:PORT"}},
		"the image is not there": {func(w *ward) {
			w.pod = `{"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}`
		}, 1, 1, []string{"no such image", "--image IMAGE"}},
		"the image has no sh": {func(w *ward) {
			w.pod = `{"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"reason": "StartError", "exitCode": 128}}}]}`
		}, 1, 1, []string{"StartError", "sh and nc"}},
		"there is no room": {func(w *ward) {
			w.pod = `{"phase": "Pending", "conditions": [{"status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}`
		}, 1, 1, []string{"did not end within 1m30s", "0/3 nodes"}},
		"it may not":         {func(w *ward) { w.refuse = cli.ErrForbidden }, 1, 1, []string{"could not be set up", "ask for the right"}},
		"the network breaks": {func(w *ward) { w.refuse = errors.New("connection refused") }, 2, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := healthy()
				test.change(w)
				code, stdout, stderr := doctor(t.Context(), w, "--probe")
				if code != test.code || strings.Count(stdout, "✗") != test.marks || len(w.deleted) != 1 {
					t.Errorf("got code %d, %q, deleted %v and\n%s\nwant %d things to mend", code, stderr, w.deleted, stdout, test.marks)
				}
				for _, want := range test.want {
					if !strings.Contains(stdout, want) {
						t.Errorf("got\n%s\nwant %q", stdout, want)
					}
				}
			})
		})
	}
}

func TestDoctorDeletesItsNamespaceWhenInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := healthy()
		w.pod = `{"phase": "Pending"}`
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if code, _, stderr := doctor(ctx, w, "--probe"); code != 1 || !strings.Contains(stderr, "somebody interrupted it") || len(w.deleted) != 1 {
			t.Errorf("got code %d, %q and deleted %v", code, stderr, w.deleted)
		}
	})
}
