// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/accounts"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/storage"
)

// Commands of advice, about a job JOB of template TEMPLATE in namespace NS, with OPTIONS and VALUES as optionFlags and valueFlags have them.
const (
	editJob       = "\nkubectl edit renderjob JOB -n NS"
	renderAgain   = "\nkubectl get renderjob JOB -n NS -o yaml | kubectl replace -n NS --force -f -"
	resumeJob     = "\nkubectl patch renderjob JOB -n NS --type merge -p '{\"spec\":{\"suspend\":false}}'"
	waitForJob    = "\nkubectl platen status JOB -n NS --wait"
	listJobs      = "\nkubectl platen status -n NS"
	listTemplates = "\nkubectl platen templates -n NS"
	showTemplate  = "\nkubectl platen templates TEMPLATE -n NS"
	lintTemplate  = "\nkubectl platen lint TEMPLATE -n NS"
	editTemplate  = "\nkubectl edit rendertemplate TEMPLATE -n NS"
	tryTemplate   = "\nkubectl platen preview TEMPLATE -n NSOPTIONSVALUES"
	showPools     = "\nkubectl describe renderpools -n NS"
	showPods      = "\nkubectl get events -n NS --field-selector involvedObject.kind=Pod"
	showQuotas    = "\nkubectl describe resourcequota -n NS"
	showJob       = "\nkubectl describe renderjob JOB -n NS"
	checkPlaten   = "\nkubectl platen check -n NS"
)

// podsLost is the advice about render pods and browsers that end while they render.
const podsLost = "Look why render pods end: out of memory, evicted, deleted. Then render the job again:" + showPods + renderAgain

// adviceByReason says what to do about a job by the reason of its Ready condition: what a person does, then the commands for it.
var adviceByReason = map[string]string{
	platenv1alpha1.QueuedReason:        "Wait: the job starts once a render pod is free. If it does not, see how many there are:" + showPools,
	platenv1alpha1.RenderingReason:     "Wait for the end:" + waitForJob,
	platenv1alpha1.UploadingReason:     "Wait for the end:" + waitForJob,
	platenv1alpha1.RetryingReason:      "Wait: another attempt follows. If it is lost too, look why render pods end:" + showPods,
	platenv1alpha1.QuotaExceededReason: "Raise the ResourceQuota of the namespace, or end other pods that it counts; the job goes on by itself:" + showQuotas,
	platenv1alpha1.PodForbiddenReason: "Allow render pods in the namespace, or set spec.podTemplate of its RenderPool default as the message asks; make that RenderPool if there is none. The job goes on by itself:" +
		"\nkubectl describe renderpools,resourcequotas,limitranges -n NS",
	platenv1alpha1.UnschedulableReason:           "Add a node, or correct spec.podTemplate of the RenderPool: its requests, or nodeSelector, affinity and tolerations; the job goes on by itself:" + showPods,
	platenv1alpha1.ImagePullFailedReason:         "Correct the manager's flag --renderer-image, or give the nodes access to the registry; the job goes on by itself:" + showPods,
	platenv1alpha1.ContainerStartFailedReason:    "Correct on the node, or in spec.podTemplate of the RenderPool, what the message names; the job goes on by itself:" + showPods,
	platenv1alpha1.ContentStoreFullReason:        "Delete jobs whose files nobody needs, or ask for more room; the job goes on by itself:" + listJobs,
	platenv1alpha1.ContentStoreUnavailableReason: "Wait: the job goes on by itself. Whoever administers Platen finds in the manager's log why the content store does not work; check it:" + checkPlaten,
	platenv1alpha1.SuspendedReason:               "Resume it:" + resumeJob,
	platenv1alpha1.CanceledReason:                "Render it after all:" + resumeJob,
	platenv1alpha1.TemplateNotFoundReason:        "Create the template, or correct spec.templateRef.name; the job then starts by itself. List the templates:" + listTemplates + editJob,
	platenv1alpha1.SourceNotFoundReason:          "Create the ConfigMap or the key that the message names; the job then starts by itself:\nkubectl get configmaps -n NS",
	platenv1alpha1.FontSetNotFoundReason:         "Create the FontSet, or correct spec.fontSetRefs of the template; the job then starts by itself:\nkubectl get fontsets -n NS",
	platenv1alpha1.InvalidFontReason:             "Correct the fonts that the message names, then render the job again:\nkubectl get fontsets -n NS" + renderAgain,
	platenv1alpha1.InvalidSpecReason:             "Correct what the message names; the job then renders by itself:" + editJob,
	platenv1alpha1.InvalidModificationsReason:    "Show the template's pages and parameters, then correct the modifications; the job then renders by itself:" + showTemplate + editJob,
	platenv1alpha1.RenderFailedReason:            "Look at the template on this machine, correct it, then render the job again:" + tryTemplate + renderAgain,
	platenv1alpha1.BackoffLimitExceededReason:    podsLost,
	platenv1alpha1.StatusTooLargeReason:          "Make the job smaller: put large values into a ConfigMap that spec.modificationsFrom names, or pictures at a URL; the job then renders by itself:" + editJob,
	render.ReasonBrowserCrashed:                  podsLost,
	render.ReasonInvalidTask:                     "Correct what the message names; the job then renders by itself:" + editJob,
	render.ReasonMemoryExceeded: "Make the page, its pictures or spec.output.scale smaller, or give render pods more memory in spec.podTemplate.resources of the namespace's RenderPool; if there is none, create one with the name default. Then render the job again:" +
		showPools + renderAgain,
}

// admitsNoPod matches what the API server or the manager says of a quota that is full because it allows nothing.
var admitsNoPod = regexp.MustCompile(`(?:limited:|which allows) (?:[^ ,]+,)*[^ ,]+=0(?:,|$)`)

// advice returns what to do about a job, with commands; empty if it has succeeded.
func advice(job *platenv1alpha1.RenderJob) string {
	if uploaded := condition(job, platenv1alpha1.UploadedCondition); uploaded.Status == metav1.ConditionFalse {
		return uploadAdvice(job, storage.Reason(uploaded.Reason))
	}
	switch word, sentence := stage(job); {
	case word == platenv1alpha1.PendingReason:
		return forJob(job, "Wait. If nothing happens, check Platen:"+checkPlaten)
	case word == platenv1alpha1.QueuedReason && sameRender.MatchString(sentence):
		return forJob(job, "Wait for the other job. See what that one waits for:\nkubectl platen status "+sameRender.FindStringSubmatch(sentence)[1]+" -n NS")
	case word == platenv1alpha1.SucceededReason:
		return ""
	case word == platenv1alpha1.DeadlineExceededReason && filmedFrames.MatchString(sentence):
		return forJob(job, aboutALongFilm(job, sentence))
	case word == platenv1alpha1.DeadlineExceededReason:
		try, longer := tryTemplate, min(2*job.Spec.TimeoutSeconds, defaultMaxTimeout)
		if own := time.Duration(job.Spec.TimeoutSeconds) * time.Second; own < previewTimeout {
			try += " --timeout " + own.String()
		}
		if longer <= job.Spec.TimeoutSeconds {
			return forJob(job, "Look for what the page waits for:"+try)
		}
		return forJob(job, "Look for a script of the page that does not end. If there is none, give the job more time; this renders it again:"+try+
			"\nkubectl patch renderjob JOB -n NS"+
			fmt.Sprintf(` --type merge -p '{"spec":{"timeoutSeconds":%d}}'`, longer))
	case word == platenv1alpha1.QuotaExceededReason && admitsNoPod.MatchString(sentence):
		return forJob(job, "Raise the ResourceQuota of the namespace, which admits no pod at all; the job then goes on by itself:"+showQuotas)
	case word == platenv1alpha1.InvalidSpecReason && !strings.HasPrefix(sentence, "spec."):
		return forJob(job, "Correct the template, then render the job again:"+lintTemplate+renderAgain)
	case word == platenv1alpha1.InvalidModificationsReason && fromConfigMap.MatchString(sentence):
		return forJob(job, aboutConfigMaps(sentence))
	case word == platenv1alpha1.SourceNotFoundReason:
		return forJob(job, aboutSources(sentence, adviceByReason[word]))
	case word == platenv1alpha1.SucceededWithWarningsReason:
		return forJob(job, aboutWarnings(job))
	default:
		return forJob(job, cmp.Or(adviceByReason[word], "See the job's events:"+showJob))
	}
}

// ofTemplate are the commands of advice that fail without the job's template.
var ofTemplate = []string{showTemplate, lintTemplate, editTemplate, strings.TrimSuffix(tryTemplate, "OPTIONSVALUES")}

// advice returns what to do about a job, as the function advice, but with what the cluster has of its template and of its connection's Secret. A person who
// may not read these gets the advice for what is usual.
func (c *cluster) advice(ctx context.Context, job *platenv1alpha1.RenderJob) string {
	text := advice(job)
	has := func(command string) bool { return strings.Contains(text, forJob(job, command)) }
	word, _ := stage(job)
	failed := job.Finished() && word != platenv1alpha1.CanceledReason && !meta.IsStatusConditionTrue(job.Status.Conditions, platenv1alpha1.RenderedCondition)
	switch connection := connectionToMend(job); {
	case connection != "":
		s := &platenv1alpha1.StorageConnection{}
		if has("\n"+reconnect("", string(platenv1alpha1.ProviderDropbox), connection, job.Namespace)) && c.get(ctx, connection, s) == nil && c.isFromManifest(ctx, s) {
			return aboutManifest(s, storage.Reason(condition(job, platenv1alpha1.UploadedCondition).Reason))
		}
	case word == platenv1alpha1.TemplateNotFoundReason:
	case failed || slices.ContainsFunc(ofTemplate, has):
		if apierrors.IsNotFound(c.get(ctx, job.Spec.TemplateRef.Name, &platenv1alpha1.RenderTemplate{})) {
			return forJob(job, "RenderTemplate 'TEMPLATE' does not exist any more. Name another one in spec.templateRef.name, and the job renders by itself; or create it, and render the job again:"+
				listTemplates+editJob+renderAgain)
		}
	}
	return text
}

// isFromManifest reports whether the Secret of a connection that is not ready is from a manifest; false if the person may not read it.
func (c *cluster) isFromManifest(ctx context.Context, s *platenv1alpha1.StorageConnection) bool {
	secret := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}}
	return !meta.IsStatusConditionTrue(s.Status.Conditions, platenv1alpha1.ReadyCondition) && c.get(ctx, secretOf(s), secret) == nil && accounts.IsFromManifest(secret)
}

// aboutManifest returns what to do about a Dropbox connection that new credentials repair and whose Secret is from a manifest: connect leaves that Secret.
func aboutManifest(s *platenv1alpha1.StorageConnection, reason storage.Reason) string {
	return fmt.Sprintf("%[1]s Secret '%[2]s' is from a manifest, and kubectl platen connect leaves it as it is: put the Secret that this prints into the manifest:\n%[3]s --secret %[2]s -o yaml",
		reason.AdviceOfConnection(string(s.Spec.Provider)).Do, secretOf(s), reconnect(reason, string(s.Spec.Provider), s.Name, s.Namespace))
}

// connectionToMend returns the name of the first connection whose upload has failed; empty if none has.
func connectionToMend(job *platenv1alpha1.RenderJob) string {
	for _, c := range job.Status.Connections {
		if c.Status == platenv1alpha1.UploadError && condition(job, platenv1alpha1.UploadedCondition).Status == metav1.ConditionFalse {
			return c.Name
		}
	}
	return ""
}

// fromConfigMap matches what a message says of a value that a ConfigMap gives.
var fromConfigMap = regexp.MustCompile(`key '[^']*' of ConfigMap '([^']+)'`)

// aboutConfigMaps returns what to do about a message that names values of ConfigMaps: a change of a ConfigMap does not render a job again.
func aboutConfigMaps(message string) string {
	var edits []string
	own := false
	for mistake := range strings.SplitSeq(message, "; spec.modifications.") {
		found := fromConfigMap.FindStringSubmatch(mistake)
		if found == nil {
			own = true
		} else if edit := editConfigMap(found[1]); !slices.Contains(edits, edit) {
			edits = append(edits, edit)
		}
	}
	commands := showTemplate + strings.Join(edits, "")
	if own {
		return "Correct the ConfigMap that the message names, then the job's own modifications; the job then renders by itself:" + commands + editJob
	}
	return "Correct the ConfigMap that the message names, then render the job again, because it reads it only when it starts:" + commands + renderAgain
}

// editConfigMap is the command that corrects a ConfigMap.
func editConfigMap(name string) string { return "\nkubectl edit configmap " + name + " -n NS" }

// filmedFrames matches the message of a job whose film took too long.
var filmedFrames = regexp.MustCompile(`^at the deadline, (\d+) of (?:about )?(\d+) frames `)

// aboutALongFilm returns what to do about a film that took too long: half as much time again as it needs at its pace, if it may have that.
func aboutALongFilm(job *platenv1alpha1.RenderJob, message string) string {
	found := filmedFrames.FindStringSubmatch(message)
	filmed, _ := strconv.Atoi(found[1])
	due, _ := strconv.Atoi(found[2])
	const smaller = "fps, duration, size or scale in spec.output smaller"
	longer := 3 * int(job.Spec.TimeoutSeconds) * due / (2 * max(filmed, 1))
	if longer > defaultMaxTimeout {
		return "Make " + smaller + "; this renders the job again:\nkubectl edit renderjob JOB -n NS"
	}
	return "Give the job more time, or make " + smaller + "; each renders it again:" +
		fmt.Sprintf("\nkubectl patch renderjob JOB -n NS --type merge -p '{\"spec\":{\"timeoutSeconds\":%d}}'", longer) + "\nkubectl edit renderjob JOB -n NS"
}

// sameRender matches the message of a job that waits for another one to render the same.
var sameRender = regexp.MustCompile(`^RenderJob '([^']+)' renders the same; `)

// aboutSources returns what to do about a missing source by the message that names it: a file of a FontSet may be at a URL or in an image. It returns
// usual for any other source.
func aboutSources(message, usual string) string {
	found := outsideSource.FindStringSubmatch(message)
	switch {
	case found == nil, strings.Contains(message, "ConfigMap '"): // which a person has to make, whatever else is missing
		return usual
	case strings.HasSuffix(message, beingFetched), strings.HasSuffix(message, beingRead):
		return "Wait: Platen fetches the fonts:\nkubectl get fontset " + found[1] + " -n NS"
	case found[2] == "image.pullSecretRef":
		return "Correct the Secret, or image.pullSecretRef of FontSet " + found[1] + "; Platen looks again every 30 seconds:\nkubectl edit fontset " + found[1] + " -n NS"
	case found[2] == "image":
		return "Correct image of FontSet " + found[1] + ", or let its registry answer; Platen looks again every 30 seconds:\nkubectl edit fontset " + found[1] + " -n NS"
	default:
		return "Correct url of FontSet " + found[1] + ", or let its server answer; Platen looks again every 30 seconds:\nkubectl edit fontset " + found[1] + " -n NS"
	}
}

// outsideSource matches a message about a file of a FontSet at a URL or in an image, as package fonts has it. beingFetched and beingRead are the ends of
// those that pass.
var outsideSource = regexp.MustCompile(`FontSet '([^']+)': spec\.sources\[[0-9]+\]\.(url|image|image\.pullSecretRef): `)

const (
	beingFetched = ".url: the file is being fetched"
	beingRead    = ".image: it is being read"
)

// aboutWarnings returns what to do about a job by the titles of its warnings: values that it gives, or what its pages do.
func aboutWarnings(job *platenv1alpha1.RenderJob) string {
	var values, keys, styles, others, paths, webhook bool
	for _, w := range job.Status.Warnings {
		switch {
		case strings.HasPrefix(w.Title, "Annotation "+platenv1alpha1.WebhookURLAnnotation+": "):
			webhook = true
			continue
		case strings.HasPrefix(w.Title, "Kept the file "), strings.Contains(w.Title, " writes to the same file in "):
			paths = true
			continue
		}
		value := strings.HasPrefix(w.Title, "Modification ")
		values, others = values || value, others || !value
		styles = styles || value && strings.HasSuffix(w.Title, " names no CSS property")
		keys = keys || value && (strings.Contains(w.Title, " is not used by ") || strings.HasSuffix(w.Title, " names no element") || strings.Contains(w.Title, ": no page uses "))
	}
	text := "The warnings name what is seldom meant. Correct the job or the template:"
	switch {
	case values, others:
	case webhook:
		return "Correct the annotation: its URL is then called, for a render that has ended too. The warning stays until the job renders again:" + editJob
	case paths:
		return "Give the job a spec.output.fileName or a folder of its own, if both files shall be there; it is then uploaded to that:" + editJob
	}
	if values {
		text = "Correct the modifications that the warnings name"
		if others || paths || webhook {
			text += ", and what else they name in the job or the template"
		}
		switch {
		case len(job.Spec.ModificationsFrom) > 0:
			text += ". A change of the job renders it again by itself; after a change of a ConfigMap of spec.modificationsFrom alone, the last command does"
		case others || paths || webhook:
			text += ". A change of the job renders it again by itself"
		default:
			text += "; the job then renders by itself"
		}
		if styles {
			text += ". docs/templates/styles.md has the names of styles"
		}
		text += ":"
	}
	if keys {
		text += showTemplate
	}
	text += editJob
	if others {
		text += tryTemplate
	}
	if values && len(job.Spec.ModificationsFrom) > 0 {
		var edits []string
		for _, source := range job.Spec.ModificationsFrom {
			if edit := editConfigMap(source.ConfigMapKeyRef.Name); !slices.Contains(edits, edit) {
				edits = append(edits, edit)
			}
		}
		text += strings.Join(edits, "") + renderAgain
	}
	return text
}

// adviceAboutTemplates says what to do about a template by the reason of its Ready condition.
var adviceAboutTemplates = map[string]string{
	platenv1alpha1.ValidWithWarningsReason: "Correct what the warnings name. See whether all is well:" + lintTemplate,
	platenv1alpha1.InvalidParametersReason: "Correct each default that the message names; a job without a value for it fails until then:" + editTemplate,
	platenv1alpha1.TemplateIDTakenReason:   "Give each template a spec.templateID of its own:" + editTemplate,
	platenv1alpha1.SourceNotFoundReason:    "Create the ConfigMap or the key that the message names:\nkubectl get configmaps -n NS",
	platenv1alpha1.FontSetNotFoundReason:   "Create the FontSet, or correct spec.fontSetRefs of the template:\nkubectl get fontsets -n NS",
	platenv1alpha1.InvalidFontReason:       "Correct the fonts that the message names:\nkubectl get fontsets -n NS",
}

// templateAdvice returns what to do about a template, by the reason and the message of its Ready condition.
func templateAdvice(t *platenv1alpha1.RenderTemplate, reason, message string) string {
	text := cmp.Or(adviceAboutTemplates[reason], "See the template's events:\nkubectl describe rendertemplate TEMPLATE -n NS")
	if reason == platenv1alpha1.SourceNotFoundReason {
		text = aboutSources(message, text)
	}
	return strings.NewReplacer("TEMPLATE", t.Name, "NS", t.Namespace).Replace(text)
}

// mendedInSpec are the reasons that a change of the connection's spec mends, and shownByConnection are those of which the connection says more. Platen
// uploads again by itself after either.
var (
	mendedInSpec      = []storage.Reason{storage.ReasonPathRootNotAllowed, storage.ReasonBucketNotFound, storage.ReasonEndpointBlocked, storage.ReasonInvalidSpec}
	shownByConnection = []storage.Reason{storage.ReasonAccountSuspended, storage.ReasonSecretNotLabelled, storage.ReasonSecretNotOurs}
)

// enable returns the command that switches the uploads of a connection on.
func enable(name, namespace string) string {
	return fmt.Sprintf(`kubectl patch storageconnection %s -n %s --type merge -p '{"spec":{"uploadPolicy":"%s"}}'`, name, namespace, platenv1alpha1.UploadAutomatic)
}

// uploadAdvice returns what to do about a failed upload.
func uploadAdvice(job *platenv1alpha1.RenderJob, reason storage.Reason) string {
	failed, each := platenv1alpha1.JobConnectionStatus{}, []string(nil)
	for _, c := range job.Status.Connections {
		if c.Status != platenv1alpha1.UploadError {
			continue
		}
		if failed.Name == "" {
			failed = c
		}
		show := "kubectl platen connections " + c.Name + " -n " + job.Namespace
		if c.Reason == string(storage.ReasonConnectionNotFound) {
			show = "kubectl platen connections -n " + job.Namespace
		}
		if storage.Reason(c.Reason).Advice(string(c.Provider)).Fault == storage.FaultOfConnection && !slices.Contains(each, show) {
			each = append(each, show)
		}
	}
	if len(each) > 1 {
		return "Several connections need something. Each says what:\n" + strings.Join(each, "\n")
	}
	retry := forJob(job, "\nkubectl platen retry JOB -n NS")
	switch known := reason.Advice(string(failed.Provider)); {
	case reason == storage.ReasonSuperseded:
		return known.Do
	case reason == storage.ReasonDisabled:
		return known.Do + "\n" + enable(failed.Name, job.Namespace)
	case slices.Contains(mendedInSpec, reason):
		return known.Do + "\nkubectl edit storageconnection " + failed.Name + " -n " + job.Namespace
	case slices.Contains(shownByConnection, reason):
		return known.Do + "\nkubectl platen connections " + failed.Name + " -n " + job.Namespace
	case known.Reconnect:
		return known.Do + "\n" + reconnect(reason, string(failed.Provider), failed.Name, job.Namespace)
	case reason == storage.ReasonConnectionNotFound:
		return known.Do + "\nkubectl platen connections -n " + job.Namespace + forJob(job, editJob)
	case known.Fault == storage.FaultOfFile && reason != storage.ReasonConflict:
		return known.Do + " A change of the job's spec uploads or renders it again:" + forJob(job, editJob)
	default:
		return cmp.Or(known.Do, "Retry the upload.") + retry
	}
}

// forJob puts a job's names into advice, and says of a preview which values its command lacks.
func forJob(job *platenv1alpha1.RenderJob, text string) string {
	flags, left := valueFlags(job)
	if left != "" && strings.Contains(text, "VALUES") {
		text = strings.Replace(text, ":\n", ". The preview leaves out LEFT; add to its command what the template needs:\n", 1)
	}
	return strings.NewReplacer("JOB", job.Name, "TEMPLATE", job.Spec.TemplateRef.Name, "NS", job.Namespace,
		"OPTIONS", optionFlags(job.Spec.Output), "VALUES", flags, "LEFT", left).Replace(text)
}

// optionFlags returns the flags of preview for a job's output. It leaves out defaults, what the format ignores, and what no flag can give.
func optionFlags(output platenv1alpha1.OutputSpec) string {
	format := cmp.Or(string(output.Format), "png")
	var flags strings.Builder
	for _, option := range []struct{ name, value, usual string }{
		{"format", format, "png"},
		{"size", string(output.Size), ""},
		{"extra-sizes", withCommas(output.ExtraSizes), ""},
		{"scale", string(output.Scale), "1"},
		{"quality", strconv.Itoa(int(output.Quality)), "90"},
		{"pages", withCommas(output.Pages), ""},
		{"margin", string(output.PDF.Margin), ""},
		{"fps", strconv.Itoa(int(output.Video.FPS)), ""},
		{"duration", string(output.Video.Duration), ""},
		{"transparent", strconv.FormatBool(ptr.Deref(output.Transparent, false)), "false"},
	} {
		ignored := slices.ContainsFunc(formatFlags, func(flag formatFlag) bool { return flag.name == option.name && !slices.Contains(flag.formats, format) })
		switch {
		case ignored, option.value == option.usual, option.value == "", option.value == "0":
		case option.name == "transparent":
			flags.WriteString(" --transparent")
		default:
			flags.WriteString(" --" + option.name + " " + shellWord(option.value))
		}
	}
	return flags.String()
}

// withCommas returns a list as the value of a flag.
func withCommas[T any](items []T) string {
	texts := make([]string, 0, len(items))
	for _, item := range items {
		texts = append(texts, fmt.Sprint(item))
	}
	return strings.Join(texts, ",")
}

const (
	// maxValueFlag bounds a value that advice repeats, in bytes. A longer one is nothing to read: the flag takes it from the job.
	maxValueFlag = 500
	// maxArgument bounds a value that a flag takes from the job, in bytes: Linux takes arguments of less than 128 KiB, and kubectl escapes some letters.
	maxArgument = 64 << 10
	// maxLeftOut bounds the values that advice names.
	maxLeftOut = 10
)

// valueFlags returns the flags of preview for a job's own modifications. left names what it leaves out, because no flag can give it, or ConfigMaps do.
func valueFlags(job *platenv1alpha1.RenderJob) (flags, left string) {
	given := map[string]json.RawMessage{}
	if job.Spec.Modifications != nil {
		_ = json.Unmarshal(job.Spec.Modifications.Raw, &given) // what is no object has no values
	}
	var b strings.Builder
	var out []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		text := ""
		// sameCluster takes what follows for a command.
		noFlag := name == "" || strings.Contains(name, "=") || strings.Contains(name, "kubectl ") || plain(name) != name
		isText := json.Unmarshal(given[name], &text) == nil
		switch size := len(given[name]); {
		case noFlag, size > maxArgument, size > maxValueFlag && strings.Contains(name, `\`):
			out = append(out, fmt.Sprintf("'%.60s'", plain(name)))
		case size > maxValueFlag && isText:
			b.WriteString(" --set-string " + shellWord(name) + "=" + valueOf(job, name))
		case size > maxValueFlag:
			b.WriteString(" --set-json " + shellWord(name) + "=" + valueOf(job, name))
		// A terminal would obey control characters, which JSON escapes.
		case isText && string(given[name]) != "null" && plain(text) == text && !strings.Contains(text, "kubectl "):
			b.WriteString(" --set-string " + shellWord(name+"="+text))
		default:
			b.WriteString(" --set-json " + shellWord(name+"="+strings.ReplaceAll(readable(given[name]), "kubectl ", `kubectl\u0020`)))
		}
	}
	for _, source := range job.Spec.ModificationsFrom {
		if of := "the values of ConfigMap '" + source.ConfigMapKeyRef.Name + "'"; !slices.Contains(out, of) {
			out = append(out, of)
		}
	}
	if more := len(out) - maxLeftOut; more > 0 {
		out = append(out[:maxLeftOut], fmt.Sprintf("%d more", more))
	}
	return b.String(), strings.Join(out, ", ")
}

// readable returns JSON on one line, with the numbers as they are and without the escapes that nobody needs.
func readable(raw json.RawMessage) string {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	must(decoder.Decode(&value)) // it is a part of what was read as JSON
	return asJSON(value)
}

// jsonPathEnds matches what ends the name of a field in kubectl's JSONPath.
var jsonPathEnds = regexp.MustCompile(`[ .,\[\]{}$@*]`)

// valueOf returns a word for the shell that is a job's value, as kubectl shows it: a text without the line breaks at its end, all else as JSON.
func valueOf(job *platenv1alpha1.RenderJob, name string) string {
	path := "jsonpath={.spec.modifications." + jsonPathEnds.ReplaceAllString(name, `\$0`) + "}"
	return fmt.Sprintf(`"$(kubectl get renderjob %s -n %s -o %s)"`, job.Name, job.Namespace, shellWord(path))
}

// printNext prints advice, its commands below; nothing if there is none.
func printNext(out io.Writer, advice string) {
	if advice != "" {
		fmt.Fprintf(out, "Next: %s\n", strings.ReplaceAll(advice, "\n", "\n  "))
	}
}

// defaultMaxTimeout is the longest timeout, in seconds, that the manager takes unless its flag --max-timeout says otherwise.
const defaultMaxTimeout = 3600

// reconnect returns the command that repairs a connection, or shows what is wrong with one that people do not connect to.
func reconnect(reason storage.Reason, provider, name, namespace string) string {
	command := fmt.Sprintf("kubectl platen connect dropbox %s -n %s", name, namespace)
	switch {
	case provider == string(platenv1alpha1.ProviderDropbox) && reason == storage.ReasonSecretNotFound:
		return command + " --app-key APP_KEY" // the Secret had it
	case provider == string(platenv1alpha1.ProviderDropbox):
		return command
	}
	return fmt.Sprintf("kubectl platen connections %s -n %s", name, namespace)
}
