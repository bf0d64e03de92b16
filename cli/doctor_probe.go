package cli

import (
	"context"
	"crypto/rand"
	_ "embed" // the walls
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// probeTimeout is for all of the probe but its clearing away.
	probeTimeout = 90 * time.Second
	// clearTimeout is for asking that its namespace be deleted.
	clearTimeout = 15 * time.Second
	// probeLook is how long there is between two looks at a pod.
	probeLook = time.Second
	// probeSettle is how long a pod waits before it tries, in seconds: plugins learn of
	// a pod when it starts.
	probeSettle = 5
	// probeTry is how long a connection has to be answered, in seconds.
	probeTry = 2
	// probeLife is when the kubelet ends the pods, whatever happens, in seconds.
	probeLife = 180
	// probePort is where a pod of the probe listens.
	probePort = 8080
	// probeUser is who the pods run as: nobody.
	probeUser = 65534

	probePrefix  = "inhaul-doctor-"
	probeManager = "inhaul-doctor"
	labelManager = "app.kubernetes.io/managed-by"
)

// doctorWalls is the NetworkPolicy that a preview has by default. The agent's tests keep
// it equal to what the agent makes.
//
//go:embed doctor_walls.json
var doctorWalls []byte

// target is what is tried.
type target struct {
	check   string
	address string // HOST PORT for nc, in which the pod's shell finds its own variables
	reached bool   // whether it is to be reached
	next    string // what to do if it is not as it is to be
	excuse  string // why that need not be wrong; empty: it is
}

// notEnforced is what to do where walls do not hold.
const notEnforced = "the network plugin does not enforce NetworkPolicy: on EKS set enableNetworkPolicy of the VPC CNI, elsewhere install a plugin that does (Calico, Cilium, kube-router)"

// probe tries what pods of a preview reach, from a namespace that is walled in like one.
func (o doctorPreviewsCommand) probe(ctx context.Context, c Commands, d doctor) ([]finding, error) {
	host, port, err := o.internet()
	if err != nil {
		return nil, err
	}
	probing, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	targets, skipped, err := d.targets(probing)
	if err != nil {
		return nil, err
	}
	targets = append(targets, target{"reaches the internet", host + " " + port, true, "nothing answers at " + o.Internet + ": name another address by --internet HOST:PORT; else look at the nodes' routes (NAT) and at other NetworkPolicies", ""})
	p := probe{doctor: d, space: probePrefix + strings.ToLower(rand.Text()[:8]), image: o.Image}
	defer func() { // also after Ctrl-C, and where no answer came to its creation
		clearing, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearTimeout)
		defer cancel()
		if e := d.cluster.Trials.Delete(clearing, "api/v1/namespaces/"+p.space); e != nil && !errors.Is(e, ErrNotFound) && p.made {
			c.warn("inhaul: namespace %s was not deleted: %v\n  next: kubectl delete namespace %s\n", p.space, e, p.space)
		}
	}()
	reached, err := p.run(probing, targets)
	switch {
	case ctx.Err() != nil:
		return nil, &fault{what: "the probe was stopped", why: "somebody interrupted it", next: "try again"}
	case probing.Err() != nil && err != nil:
		return nil, &fault{what: fmt.Sprintf("the probe did not end within %s", probeTimeout), why: p.waits(err), next: "see whether the cluster has room for two small pods, and whether its nodes can pull " + o.Image + "; --image names another"}
	case errors.Is(err, ErrForbidden), errors.Is(err, ErrRefused):
		return nil, &fault{what: "the probe could not be set up", why: err.Error(), next: "ask for the right to make namespaces, networkpolicies and pods, or have the platform owner run it"}
	case err != nil:
		return nil, err
	}
	var findings []finding
	for _, t := range targets {
		findings = append(findings, t.judge(reached))
	}
	return append(findings, skipped...), nil
}

// internet is the address that stands for the internet.
func (o doctorPreviewsCommand) internet() (host, port string, err error) {
	host, port, err = net.SplitHostPort(o.Internet)
	number, numeric := strconv.Atoi(port)
	if err != nil || numeric != nil || number < 1 || number > 65535 || host == "" || host[0] == '-' || strings.ContainsFunc(host, notInHost) {
		return "", "", &fault{what: "the command line is not understood", why: fmt.Sprintf("--internet is %q, want HOST:PORT", o.Internet), next: "inhaul doctor previews --help"}
	}
	return host, strconv.Itoa(number), nil // a shell reads it
}

// notInHost reports whether r is in no host name and no address.
func notInHost(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune(".-:", r)
}

// judge compares what was reached with what is to be.
func (t target) judge(reached map[string]bool) finding {
	words := map[bool]string{true: "reached", false: "not reached"}
	got, known := reached[t.check]
	switch {
	case !known:
		return finding{t.check, unknown, "the pod did not come so far", ""}
	case got != t.reached && t.excuse != "":
		return finding{t.check, unknown, words[got] + ": " + t.excuse, ""}
	case got != t.reached:
		return finding{t.check, unwell, words[got], t.next}
	}
	return finding{t.check, fine, words[got], ""}
}

// targets are what is tried, and what there is not to try.
func (d doctor) targets(ctx context.Context) ([]target, []finding, error) {
	metadata := notEnforced + "; if all else is refused, it leaves link-local addresses out: have the nodes' metadata service take one hop (IMDSv2, hop limit 1)"
	targets := []target{
		{"reaches its own namespace", "$SERVER " + strconv.Itoa(probePort), true, "pods of one namespace do not connect: look at policies for the whole cluster, and at the plugin's log", ""},
		{"reaches the cluster's DNS", "$dns 53", true, "the DNS that its pods are told of does not answer by TCP, or is not in kube-system: then name its range in spec.previews.egress.allow of the App", ""},
		{"not the API server", "$KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT", false, notEnforced + "; if the other services are refused, the API server has a public address, which counts as internet", ""},
		{"not the metadata service", "169.254.169.254 80", false, metadata, ""},
		{"not EKS Pod Identity", "169.254.170.23 80", false, metadata, ""},
	}
	apps, err := d.apps(ctx)
	if err != nil {
		return nil, nil, err
	}
	var production, previews []string
	for _, a := range apps {
		if p := a.Spec.Previews; p != nil && (p.Egress.Open || len(p.Egress.Allow) > 0) {
			targets[1].excuse = "App " + a.Metadata.Name + " lets more out than the probe has" // DNS outside of kube-system
		}
		for _, e := range a.Spec.Environments {
			production = append(production, e.Namespace)
		}
	}
	records, err := items[patientPreview](ctx, d, d.own("previews"))
	if err != nil {
		return nil, nil, err
	}
	for _, p := range records {
		if p.Status.Phase == "Active" && (d.app == "" || p.Spec.App == d.app) {
			previews = append(previews, p.Status.Namespace)
		}
	}
	var skipped []finding
	for _, other := range []struct {
		check      string
		namespaces []string
	}{{"not a declared environment", production}, {"not another preview", previews}} {
		address, err := d.service(ctx, other.namespaces)
		if err != nil {
			return nil, nil, err
		}
		if address == "" {
			skipped = append(skipped, finding{other.check, unknown, "there is no service to try that you may see", ""})
			continue
		}
		targets = append(targets, target{other.check, address, false, notEnforced, ""})
	}
	return targets, skipped, nil
}

// service is the address of a service in one of the namespaces; empty if none is seen.
func (d doctor) service(ctx context.Context, namespaces []string) (string, error) {
	for _, namespace := range namespaces {
		services, err := items[struct {
			Spec struct {
				ClusterIP string `json:"clusterIP"`
				Ports     []struct {
					Port int `json:"port"`
				} `json:"ports"`
			} `json:"spec"`
		}](ctx, d, "api/v1/namespaces/"+url.PathEscape(namespace)+"/services")
		if err != nil && !unseen(err) {
			return "", fmt.Errorf("reading the services in namespace %s: %w", namespace, err)
		}
		for _, s := range services {
			if net.ParseIP(s.Spec.ClusterIP) != nil && len(s.Spec.Ports) > 0 {
				return s.Spec.ClusterIP + " " + strconv.Itoa(s.Spec.Ports[0].Port), nil
			}
		}
	}
	return "", nil
}

// script tries one target after the other, and prints what answered. What is to be
// reached has a second try.
func script(targets []target) string {
	var b strings.Builder
	fmt.Fprintf(&b, "while read -r word value rest; do if [ \"$word\" = nameserver ]; then dns=$value; break; fi; done </etc/resolv.conf\n")
	fmt.Fprintf(&b, "try() { nc -w %d \"$1\" \"$2\" </dev/null >/dev/null 2>&1; }\nsleep %d\n", probeTry, probeSettle)
	for i, t := range targets {
		again := ""
		if t.reached {
			again = " || try " + t.address
		}
		fmt.Fprintf(&b, "if try %s%s; then echo %d=reached; else echo %d=refused; fi\n", t.address, again, i, i)
	}
	return b.String() + "echo done\n"
}

// results reads what the script printed.
func results(log []byte, targets []target) map[string]bool {
	reached := map[string]bool{}
	for line := range strings.Lines(string(log)) {
		number, word, _ := strings.Cut(strings.TrimSpace(line), "=")
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(targets) {
			reached[targets[i].check] = word == "reached"
		}
	}
	return reached
}

// object is any object, for the API server.
func object(version, kind, name string, spec any, labels map[string]string) ([]byte, error) {
	o := map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name, "labels": labels}}
	if spec != nil {
		o["spec"] = spec
	}
	return json.Marshal(o)
}
