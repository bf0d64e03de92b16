package convert

import (
	"cmp"
)

// schedules maps a schedule event, which may have several rates, to a job each.
func (s *serverless) schedules(function, e *node) bool {
	if s.variable(e) {
		return false
	}
	rates := []*node{e}
	if e.kind == mapping {
		rates = []*node{e.at("rate")}
		if rate := e.at("rate"); rate == nil {
			e.leave("has no rate")
			return false
		} else if rate.kind == list {
			rates = rate.items()
		}
	}
	off := false
	if on, ok := e.at("enabled").flag(); ok {
		off = !on
	}
	for _, rate := range rates {
		job := s.job(function, rate)
		if off {
			e.at("enabled").note("is switched off: the job runs when somebody asks; its schedule is in a comment")
		}
		s.schedule(job, rate, off)
		if zone := e.at("timezone"); zone != nil && !s.variable(zone) && job.byName["schedule"] != nil {
			if text, ok := zone.string(); ok {
				job.set("timezone", text, zone.place)
			}
		}
	}
	e.leaveAll(map[string]string{
		"input":            "a job has no event: pass what it needs in env or in the command",
		"inputPath":        "a job has no event: pass what it needs in env or in the command",
		"inputTransformer": "a job has no event: pass what it needs in env or in the command",
		"name":             "names the rule of EventBridge; the job has the function's name",
		"description":      "describes the rule to people; has no effect",
		"method":           "the cluster keeps the schedule",
		"timezone":         "the job has no schedule",
	})
	return true
}

// schedule gives a job its schedule, or says why it has none.
func (s *serverless) schedule(job *level, rate *node, off bool) {
	if s.variable(rate) {
		job.byName["type"].after = "runs when somebody asks"
		return
	}
	text, ok := rate.string()
	if !ok {
		return
	}
	cron, reason := fiveFields(text)
	switch {
	case reason != "":
		job.byName["type"].after = "runs when somebody asks, instead of " + text
		rate.leave("%s; the job runs when somebody asks", reason)
	case off:
		job.byName["type"].after = "switched off; its schedule is " + cron
	default:
		job.set("schedule", cron, rate.place).after = text
	}
}

// job adds a job that calls the function once, for what stands at n.
func (s *serverless) job(function, n *node) *level {
	wanted := cmp.Or(label(kebab(function.name)), "job")
	name := s.services.free(wanted)
	if name != function.name {
		function.note("a service has lower-case letters, digits and hyphens in its name, and no other's: it is %s here", name)
	}
	job := s.services.sub(name, n.place)
	job.set("type", "job", n.place)
	s.run(function, job)
	s.memory(cmp.Or(function.at("memorySize"), s.provider.at("memorySize")), job)
	timeout := cmp.Or(function.at("timeout"), s.provider.at("timeout"))
	if !s.variable(timeout) {
		if seconds, ok := timeout.whole(); ok && seconds > 0 {
			job.set("deadline", duration(seconds), timeout.place)
		}
	}
	s.environment(function.at("environment"), job.sub("env", n.place), job.sub("secrets", n.place))
	return job
}

// run says what the job runs: the handler itself where a command can call it.
func (s *serverless) run(function *node, job *level) {
	handler := function.at("handler")
	runtime := cmp.Or(function.at("runtime").textOnly(), s.runtime)
	command, ok := handlerCommand(runtime, handler.textOnly())
	if !ok {
		job.byName["type"].above = "The image's own command runs, for a Lambda handler cannot be called from here: say run."
		handler.leave("is called by Lambda: say in run of the job how the image calls it")
		return
	}
	job.set("run", command, handler.place).above = "Calls the handler once, with an empty event."
	handler.take()
}

// functionReasons says why keys of a function have no place in inhaul.yaml.
func functionReasons() map[string]string {
	const resource = "is a resource of AWS around Lambda, of which nothing is left here"
	return map[string]string{
		"handler":                  "is called by Lambda: write a service whose command does its work",
		"runtime":                  "the Dockerfile or the buildpacks choose what the code runs on",
		"image":                    "an image that is built elsewhere is given to the Action as its input image",
		"description":              "describes the function to people; has no effect on a deploy",
		"name":                     "the service has the function's key as its name",
		"memorySize":               "is of a function that is no service here",
		"timeout":                  "is of a function that is no service here",
		"environment":              "is of a function that is no service here",
		"architectures":            "the Action's input platforms says what is built",
		"architecture":             "the Action's input platforms says what is built",
		"package":                  ".dockerignore says what goes into the image",
		"layers":                   "what a layer brings belongs into the image",
		"role":                     "give the service account of the namespace its role in the cloud",
		"iamRoleStatements":        "give the service account of the namespace its role in the cloud",
		"vpc":                      "the cluster's network counts",
		"tags":                     resource,
		"kmsKeyArn":                resource,
		"onError":                  resource,
		"destinations":             resource,
		"tracing":                  resource,
		"url":                      resource,
		"versionFunction":          resource,
		"reservedConcurrency":      "say replicas or scale",
		"provisionedConcurrency":   "say replicas or scale",
		"maximumRetryAttempts":     "say retries of the job",
		"ephemeralStorageSize":     "say volumes",
		"fileSystemConfig":         "make a PersistentVolumeClaim in the namespace of every environment and name it in volumes",
		"disableLogs":              resource,
		"logRetentionInDays":       resource,
		"snapStart":                resource,
		"runtimeManagement":        resource,
		"maximumEventAge":          resource,
		"condition":                resource,
		"dependsOn":                resource,
		"warmup":                   "pods keep running: there is nothing to warm up",
		"awsKmsKeyArn":             resource,
		"iamManagedPolicies":       "give the service account of the namespace its role in the cloud",
		"iamRoleStatementsName":    "give the service account of the namespace its role in the cloud",
		"iamRoleStatementsInherit": "give the service account of the namespace its role in the cloud",
		"iamPermissionsBoundary":   "give the service account of the namespace its role in the cloud",
		"iamRoleStatementsPath":    "give the service account of the namespace its role in the cloud",
	}
}

// providerReasons says the same of the keys of provider.
func providerReasons() map[string]string {
	const role = "give the service account of the namespace its role in the cloud"
	const gateway = "the cluster's routing takes the place of API Gateway"
	return map[string]string{
		"stage": "say environments", "region": "the cluster is where it is", "profile": "the workflow has its own access",
		"memorySize": "no function here takes it", "timeout": "no function here takes it",
		"environment": "no function here takes it", "iam": role, "iamRoleStatements": role, "role": role,
		"httpApi": gateway, "apiGateway": gateway, "apiName": gateway, "apiKeys": gateway, "alb": gateway, "websocketsApiName": gateway,
		"vpc": "the cluster's network counts", "layers": "what a layer brings belongs into the image",
		"architecture": "the Action's input platforms says what is built", "ecr": "the Action builds and pushes the image",
		"logs": "the cluster's logging counts", "tracing": "the cluster's tracing counts", "logRetentionInDays": "the cluster's logging counts",
		"deploymentBucket": "no bucket is needed", "stackName": "there is no CloudFormation stack", "stackTags": "there is no CloudFormation stack",
		"tags": "there is no CloudFormation stack", "lambdaHashingVersion": "there is no Lambda", "versionFunctions": "releases are kept by the agent",
	}
}

// serverlessReasons says the same of the keys of the file.
func serverlessReasons() map[string]string {
	const framework = "is of the Serverless Framework itself; has no effect here"
	return map[string]string{
		"frameworkVersion": framework, "configValidationMode": framework, "useDotenv": framework, "variablesResolutionMode": framework,
		"unresolvedVariablesNotificationMode": framework, "deprecationNotificationMode": framework, "disabledDeprecations": framework,
		"org": framework, "app": framework, "licenseKey": framework, "console": framework, "outputs": framework,
		"plugins":   "plugins change what the Serverless Framework does; find out what each did that the app still needs",
		"custom":    "settings of plugins and variables; what the app needs of them belongs into env or secrets",
		"params":    "what differs between environments is said below environments",
		"stages":    "what differs between environments is said below environments",
		"package":   ".dockerignore says what goes into the image",
		"layers":    "what a layer brings belongs into the image",
		"resources": "Inhaul makes no resources of AWS: keep them in a CloudFormation stack of their own, and refer to their credentials in secrets",
		"extend":    framework,
		"build":     "the Dockerfile or the buildpacks build the code",
	}
}
