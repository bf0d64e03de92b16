package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/spec"
)

const (
	labelPreview = apiGroup + "preview"
	// longEnding is how long a preview's end may take: the agent says after two minutes
	// what holds a namespace, and a teardown has 30 s.
	longEnding = 10 * time.Minute
	// longWaiting is how long one may wait for room before somebody is to look.
	longWaiting = 24 * time.Hour
)

// doctor looks at the previews of a cluster.
type doctor struct {
	cluster Cluster
	agent   string // the agent's namespace
	app     string // empty: all
	now     time.Time
}

// patientApp is what is read of an App.
type patientApp struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		Environments []struct {
			Namespace string `json:"namespace"`
		} `json:"environments"`
		Previews *struct {
			Databases map[string]json.RawMessage `json:"databases"`
			Egress    struct {
				Open  bool     `json:"open"`
				Allow []string `json:"allow"`
			} `json:"egress"`
		} `json:"previews"`
		Rules []struct {
			Environments []string `json:"environments"`
		} `json:"rules"`
	} `json:"spec"`
}

// meta is what is read of any object's metadata.
type meta struct {
	Name   string            `json:"name"`
	UID    string            `json:"uid"`
	Labels map[string]string `json:"labels"`
}

// patientPreview is what is read of a Preview.
type patientPreview struct {
	previewRecord
	Status struct {
		Phase     string `json:"phase"`
		Message   string `json:"message"`
		Namespace string `json:"namespace"`
		Waiting   *struct {
			Since *time.Time `json:"since"`
		} `json:"waiting"`
		Destroys []struct {
			AdmittedAt *time.Time `json:"admittedAt"`
			DoneAt     *time.Time `json:"doneAt"`
		} `json:"destroys"`
	} `json:"status"`
}

// examine does all checks that change nothing.
func (d doctor) examine(ctx context.Context) ([]finding, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	apps, err := d.apps(ctx)
	if err != nil {
		return nil, err
	}
	all, err := items[patientPreview](ctx, d, d.own("previews"))
	if err != nil {
		return nil, unanswered("previews in namespace "+d.agent, err, "--namespace says where the agent lives; an older agent has none")
	}
	var mine, there []patientPreview
	for _, p := range all {
		if d.app == "" || p.Spec.App == d.app {
			mine = append(mine, p)
			if p.Status.Phase == "Active" && p.Status.Namespace != "" {
				there = append(there, p)
			}
		}
	}
	findings := append(d.settings(apps), d.late(mine))
	for _, check := range []func() ([]finding, error){
		func() ([]finding, error) { return d.policies(ctx) },
		func() ([]finding, error) { return d.role(ctx) },
		func() ([]finding, error) { return d.databases(ctx, apps, there) },
		func() ([]finding, error) { return d.orphans(ctx, all) },
		func() ([]finding, error) { return d.rails(ctx, apps, there) },
	} {
		found, err := check()
		if err != nil {
			return nil, err
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

func (d doctor) own(resource string) string {
	return "apis/" + apiGroup + "v1alpha1/namespaces/" + url.PathEscape(d.agent) + "/" + resource
}

// apps are those that are asked about, by name.
func (d doctor) apps(ctx context.Context) ([]patientApp, error) {
	apps, err := items[patientApp](ctx, d, d.own("apps"))
	if err != nil {
		return nil, unanswered("Apps in namespace "+d.agent, err, "--namespace says where the agent lives; without Inhaul's CRDs there are none: deploy/crds")
	}
	if d.app == "" {
		return apps, nil
	}
	apps = slices.DeleteFunc(apps, func(a patientApp) bool { return a.Metadata.Name != d.app })
	if len(apps) == 0 {
		return nil, &fault{what: fmt.Sprintf("the cluster has no App %s in namespace %s", d.app, d.agent), why: "none has that name", next: "kubectl get apps -A lists what there is"}
	}
	return apps, nil
}

// settings are what the Apps say.
func (d doctor) settings(apps []patientApp) []finding {
	var with, without []string
	for _, a := range apps {
		if a.Spec.Previews == nil {
			continue
		}
		with = append(with, a.Metadata.Name)
		named := false
		for _, r := range a.Spec.Rules {
			named = named || slices.Contains(r.Environments, "pr-*")
		}
		if !named {
			without = append(without, a.Metadata.Name)
		}
	}
	if len(with) == 0 {
		return []finding{
			{"apps with previews", unwell, "no App has spec.previews", "write spec.previews into the App, see docs/previews.md"},
			{"a rule for pr-*", unknown, "there is no app with previews", ""},
		}
	}
	return []finding{
		{"apps with previews", fine, few(with), ""},
		judge("a rule for pr-*", "each app has one", without, `these Apps deny every preview: add a rule with environments: ["pr-*"] to each`),
	}
}

// late is about previews that have been on their way for long.
func (d doctor) late(previews []patientPreview) finding {
	var late []string
	for _, p := range previews {
		var since *time.Time
		patience := longEnding
		switch {
		case p.Status.Phase == "Destroying":
			for _, e := range p.Status.Destroys {
				if e.DoneAt == nil {
					since = e.AdmittedAt
				}
			}
		case p.Status.Waiting != nil:
			since, patience = p.Status.Waiting.Since, longWaiting
		}
		if since == nil || d.now.Sub(*since) <= patience {
			continue
		}
		said := p.Metadata.Name + " since " + age(d.now.Sub(*since))
		if p.Status.Message != "" {
			said += " (" + p.Status.Message + ")"
		}
		late = append(late, said)
	}
	return judge("none is stuck", "no preview waits or ends for long", late, "one that waits needs room: raise spec.previews.max, or close a pull request; of one that ends look at what holds its namespace: kubectl describe namespace")
}

// databases compares what the newest releases want with what the Apps offer.
func (d doctor) databases(ctx context.Context, apps []patientApp, there []patientPreview) ([]finding, error) {
	const check = "database classes"
	var wrong []string
	wanted := 0
	for _, a := range apps {
		for _, p := range there {
			if p.Spec.App != a.Metadata.Name || a.Spec.Previews == nil {
				continue
			}
			releases, err := items[release](ctx, d, "apis/"+apiGroup+"v1alpha1/namespaces/"+url.PathEscape(p.Status.Namespace)+"/releases")
			if unseen(err) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("reading the releases in namespace %s: %w", p.Status.Namespace, err)
			}
			for _, kind := range kinds(releases, a.Metadata.Name, p.environment()) {
				wanted++
				if said := a.Metadata.Name + ": " + kind; a.Spec.Previews.Databases[kind] == nil && !slices.Contains(wrong, said) {
					wrong = append(wrong, said)
				}
			}
		}
	}
	if wanted == 0 {
		return []finding{{check, unknown, "no release of a preview is known to want a database", ""}}, nil
	}
	return []finding{judge(check, "each kind that previews want has one", wrong, "their next deploy is denied: name an image of that kind in spec.previews.databases of the App")}, nil
}

// kinds are the kinds of databases that the newest release wants.
func kinds(releases []release, app, environment string) []string {
	newest := -1
	var wanted []string
	for _, r := range releases {
		var definition spec.App
		if r.Spec.App != app || r.Spec.Environment != environment || r.Spec.Number <= newest || json.Unmarshal(r.Spec.Definition, &definition) != nil {
			continue
		}
		newest, wanted = r.Spec.Number, nil
		for _, database := range definition.Databases {
			wanted = append(wanted, database.Type)
		}
	}
	return wanted
}

// orphans are namespaces of previews that nobody has on record.
func (d doctor) orphans(ctx context.Context, previews []patientPreview) ([]finding, error) {
	const check = "namespaces on record"
	spaces, err := items[struct {
		Metadata meta `json:"metadata"`
	}](ctx, d, "api/v1/namespaces?labelSelector="+url.QueryEscape(labelPreview))
	if unseen(err) {
		return []finding{{check, unknown, "you may not list namespaces", ""}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading namespaces: %w", err)
	}
	known := map[string]bool{}
	for _, p := range previews {
		known[p.Metadata.UID] = true
	}
	var orphans []string
	for _, s := range spaces {
		if (d.app == "" || s.Metadata.Labels[apiGroup+"app"] == d.app) && !known[s.Metadata.Labels[labelPreview]] {
			orphans = append(orphans, s.Metadata.Name)
		}
	}
	return []finding{judge(check, fmt.Sprintf("namespaces of previews: %d, each with its record", len(spaces)), orphans,
		"the agent removes these within minutes, unless their labels were changed or another agent made them: look at its log, then delete them by hand")}, nil
}

// items reads all of a list. It fails when one has more than maxPages pages.
func items[T any](ctx context.Context, d doctor, path string) ([]T, error) {
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	var all []T
	token := ""
	for range maxPages {
		data, err := d.cluster.Inspection.Read(ctx, path+join+url.Values{"limit": {"25"}, "continue": {token}}.Encode())
		if err != nil {
			return nil, err
		}
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []T `json:"items"`
		}
		if err := json.Unmarshal(data, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if token = page.Metadata.Continue; token == "" {
			return all, nil
		}
	}
	return nil, errors.New("the list has too many pages")
}

// read reads one object.
func (d doctor) read(ctx context.Context, path string, into any) error {
	data, err := d.cluster.Inspection.Read(ctx, path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
