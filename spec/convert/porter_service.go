package convert

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// service maps one service of a porter.yaml.
func (p *porter) service(n *node) {
	given, _ := n.at("name").string()
	name := p.services.free(cmp.Or(label(given), "service"))
	if name != given {
		n.note("a service has lower-case letters, digits and hyphens in its name, and no other's: it is %s here", name)
	}
	kind := p.serviceType(n, given)
	s := p.services.sub(name, n.place)
	s.set("type", kind, cmp.Or(n.at("type"), n).place)
	if command, ok := n.at("run").string(); ok && command != "" {
		s.set("run", command, n.at("run").place)
	}
	port := n.at("port")
	if kind != "web" {
		port.leave("a %s serves nothing here; type: web with public: false has a port that only the cluster reaches", kind)
	} else if number, ok := port.whole(); ok && number > 0 {
		s.set("port", number, port.place)
	}
	p.resources(n, s)
	switch kind {
	case "job":
		p.schedule(n, s)
	default:
		p.replicas(n, s)
		p.health(n, s, kind)
		if seconds, ok := n.at("terminationGracePeriodSeconds").whole(); ok && seconds > 0 {
			s.set("grace", duration(seconds), n.at("terminationGracePeriodSeconds").place)
		}
	}
	if kind == "web" {
		p.routes(n, s)
	}
	n.leaveAll(serviceReasons(kind))
}

// serviceType returns the type of a service, from its name if it says none, as
// Porter does.
func (p *porter) serviceType(n *node, name string) string {
	text, said := n.at("type").string()
	switch {
	case text == "web" || text == "worker" || text == "job":
		return text
	case said:
		p.fail(n.at("type").place, "type: want web, worker or job, got %q", text)
		return "worker"
	}
	kind := "worker"
	switch {
	case strings.Contains(name, "job"):
		kind = "job"
	case strings.Contains(name, "wkr") || strings.Contains(name, "worker"):
	case strings.Contains(name, "web"):
		kind = "web"
	}
	n.note("has no type, so by its name it is a %s, as for Porter", kind)
	return kind
}

// serviceReasons says why keys of a service have no place in inhaul.yaml.
func serviceReasons(kind string) map[string]string {
	reasons := map[string]string{
		"ingressAnnotations": "the platform's routing is set up once for the cluster, not by apps",
		"pathRoutingConfig":  "the path reaches the app as the client sent it",
		"disableTLS":         "certificates are the business of the cluster's routing",
		"loadBalancerConfig": "the platform's routing is set up once for the cluster, not by apps",
		"connections":        "give the service account of the namespace its role in the cloud, or refer to credentials in secrets",
		"metricsScraping":    "point the cluster's monitoring at the pods",
		"serviceMeshEnabled": "Inhaul brings no service mesh",
		"gpuCoresNvidia":     "pods cannot ask for GPUs",
		"gpu":                "pods cannot ask for GPUs",
		"nodeGroup":          "the cluster's scheduler chooses the node",
		"nodeSelectors":      "the cluster's scheduler chooses the node",
		"smartOptimization":  "cpu and memory are what the file says",
		"sleep":              "say replicas: 0 for a service that is not to run",
		"deploymentStrategy": "new pods are ready before old ones go, always",
		"envGroups":          "is kept by Porter: put its variables into env of the service, and references into secrets",
	}
	if kind != "web" {
		for _, key := range []string{"domains", "private", "pathRouting"} {
			reasons[key] = "a " + kind + " serves nothing"
		}
	}
	if kind == "job" {
		for _, key := range []string{"healthCheck", "livenessCheck", "readinessCheck", "startupCheck"} {
			reasons[key] = "a job is asked nothing: it succeeds when it ends with 0"
		}
		reasons["autoscaling"] = "a job does not scale"
		reasons["terminationGracePeriodSeconds"] = "a job has no grace here: deadline is how long it may run"
	} else {
		for _, key := range []string{"cron", "suspendCron", "allowConcurrent", "timeoutSeconds"} {
			reasons[key] = "is of a job"
		}
	}
	return reasons
}

// replicas maps how many run: a number, or bounds.
func (p *porter) replicas(n *node, s *level) {
	instances, scaling := n.at("instances"), n.at("autoscaling")
	scaling.entries() // names it if it has no keys
	if on, ok := scaling.at("enabled").flag(); ok && !on {
		scaling.leave("is switched off")
	} else if scaling != nil && scaling.at("maxInstances") == nil {
		scaling.leave("has no maxInstances")
	}
	if !isOn(scaling) {
		if number, ok := instances.whole(); ok {
			s.set("replicas", number, instances.place)
		}
		return
	}
	instances.leave("autoscaling says how many")
	scale := s.sub("scale", scaling.place)
	for _, part := range [][2]string{
		{"minInstances", "min"}, {"maxInstances", "max"}, {"cpuThresholdPercent", "cpu"}, {"memoryThresholdPercent", "memory"},
	} {
		bound := scaling.at(part[0])
		switch number, ok := bound.whole(); {
		case ok && number == 0:
			bound.leave("is nothing to scale by")
		case ok:
			scale.set(part[1], number, bound.place)
		}
	}
}

// routes maps how a web service is reached.
func (p *porter) routes(n *node, s *level) {
	private, _ := n.at("private").flag()
	if private {
		s.set("public", false, n.at("private").place)
		for _, key := range []string{"domains", "pathRouting"} {
			n.at(key).leave("a private service has none: it is reached by its name inside the cluster")
		}
		return
	}
	var domains, paths []string
	for _, domain := range n.at("domains").items() {
		name := domain
		if domain.kind == mapping {
			name = domain.at("name")
		}
		if text, ok := name.string(); ok {
			domains = append(domains, text)
		}
	}
	if len(domains) > 0 {
		s.set("domains", domains, n.at("domains").place)
	}
	for _, route := range n.at("pathRouting").items() {
		prefix := strings.TrimSuffix(route.at("path").textOnly(), "*")
		port := route.at("port")
		switch {
		case route.at("appName") != nil || route.at("serviceName") != nil:
			route.leave("leads to another service: say paths there, with the same domains")
		case port != nil && port.textOnly() != n.at("port").textOnly():
			route.leave("leads to another port than the service's: a service has one")
		case !strings.HasPrefix(prefix, "/"):
			route.leave("want a path such as /api")
		case len(domains) == 0:
			route.leave("paths need domains")
		default:
			port.take()
			route.at("path").take()
			if prefix = path.Clean(prefix); !slices.Contains(paths, prefix) {
				paths = append(paths, prefix)
			}
		}
	}
	if len(paths) > 0 {
		s.set("paths", paths, n.at("pathRouting").place).above = "The path reaches the app as the client sent it."
	}
}

// schedule maps what a job has.
func (p *porter) schedule(n *node, s *level) {
	cron := n.at("cron")
	suspended, _ := n.at("suspendCron").flag()
	switch text, ok := cron.string(); {
	case ok && text != "" && suspended:
		s.byName["type"].after = "its schedule is suspended: " + text
		n.at("suspendCron").note("is a job that runs when somebody asks; its schedule is in a comment")
	case ok && text != "":
		s.set("schedule", sundays(text), cron.place)
	default:
		s.byName["type"].after = "runs when somebody asks"
		n.note("has no schedule here, so it runs when somebody asks; some versions of Porter ran such a job every five minutes")
	}
	switch both, ok := n.at("allowConcurrent").flag(); {
	case ok && s.byName["schedule"] == nil:
		n.at("allowConcurrent").leave("says nothing of a job without a schedule")
	case ok && both:
		s.set("overlap", "allow", n.at("allowConcurrent").place)
	case ok:
		s.set("overlap", "forbid", n.at("allowConcurrent").place)
	}
	if seconds, ok := n.at("timeoutSeconds").whole(); ok && seconds > 0 {
		s.set("deadline", duration(seconds), n.at("timeoutSeconds").place)
	}
	if number, ok := n.at("instances").whole(); ok && number > 1 {
		n.at("instances").leave("a job runs once at a time")
	}
}

// sundays writes Sunday as 0 in the last field of a schedule; some crons also
// know it as 7.
func sundays(cron string) string {
	fields := strings.Fields(cron)
	if len(fields) != 5 {
		return cron
	}
	days := strings.Split(fields[4], ",")
	for i, day := range days {
		if day == "7" {
			days[i] = "0"
		} else if first, ok := strings.CutSuffix(day, "-7"); ok {
			days[i] = first + "-6,0"
		}
	}
	fields[4] = strings.Join(days, ",")
	return strings.Join(fields, " ")
}
