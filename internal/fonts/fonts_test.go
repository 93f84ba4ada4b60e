// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package fonts_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/go-text/typesetting/font/opentype"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	platenv1alpha1 "github.com/platen-dev/platen/api/v1alpha1"
	"github.com/platen-dev/platen/internal/fonts"
	"github.com/platen-dev/platen/internal/reconcile"
)

// installed returns a font of Debian's package fonts-liberation, on which the renderer's tests rely, too.
func installed(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("/usr/share/fonts/truetype/liberation/" + name + ".ttf")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// renamed returns a Liberation font whose name has another second letter.
func renamed(t *testing.T, data []byte, second uint16) []byte {
	t.Helper()
	return opentype.WriteTTF(tables(t, data, map[string]func([]byte) []byte{"name": func(names []byte) []byte {
		return bytes.ReplaceAll(names, []byte("\x00L\x00i\x00b"), append(binary.BigEndian.AppendUint16([]byte("\x00L"), second), "\x00b"...))
	}}))
}

// tables returns the tables of a font, sorted by tag, changed by their tags.
func tables(t *testing.T, data []byte, changes map[string]func([]byte) []byte) (list []opentype.Table) {
	t.Helper()
	ld, err := opentype.NewLoader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	tags := ld.Tables()
	for tag := range changes {
		if !slices.Contains(tags, opentype.MustNewTag(tag)) {
			tags = append(tags, opentype.MustNewTag(tag))
		}
	}
	slices.Sort(tags)
	for _, tag := range tags {
		content, _ := ld.RawTable(tag) // none of a tag that is new
		if change := changes[tag.String()]; change != nil {
			content = change(content)
		}
		if content != nil {
			list = append(list, opentype.Table{Tag: tag, Content: content})
		}
	}
	return list
}

// embedding sets the embedding bits.
func embedding(bits uint16) func([]byte) []byte {
	return func(os2 []byte) []byte {
		os2 = bytes.Clone(os2)
		binary.BigEndian.PutUint16(os2[8:], bits)
		return os2
	}
}

func woff(list []opentype.Table) []byte {
	out := make([]byte, 44+20*len(list))
	copy(out, "wOFF")
	binary.BigEndian.PutUint16(out[12:], uint16(len(list)))
	for i, table := range list {
		var packed bytes.Buffer
		w := zlib.NewWriter(&packed)
		_, _ = w.Write(table.Content) // to memory
		_ = w.Close()
		entry := out[44+20*i:]
		binary.BigEndian.PutUint32(entry, uint32(table.Tag))
		binary.BigEndian.PutUint32(entry[4:], uint32(len(out)))
		binary.BigEndian.PutUint32(entry[12:], uint32(len(table.Content)))
		content := packed.Bytes()
		if len(content) >= len(table.Content) {
			content = table.Content
		}
		binary.BigEndian.PutUint32(entry[8:], uint32(len(content)))
		out = append(out, content...)
	}
	return out
}

// woff2 makes a file with the tables as they are. claim changes the size that it claims for OS/2.
func woff2(list []opentype.Table, claim uint32) []byte {
	var directory, content bytes.Buffer
	base128 := func(value uint32) {
		started := false
		for shift := 28; shift >= 0; shift -= 7 {
			if b := byte(value>>shift) & 0x7f; b != 0 || started || shift == 0 {
				if started = true; shift > 0 {
					b |= 0x80
				}
				directory.WriteByte(b)
			}
		}
	}
	for _, table := range list {
		size := uint32(len(table.Content))
		switch tag := table.Tag.String(); tag {
		case "glyf":
			directory.WriteByte(3<<6 | 10)
		case "loca":
			directory.WriteByte(3<<6 | 11)
		case "OS/2":
			directory.WriteByte(6)
			size += claim
		default:
			directory.WriteByte(63)
			directory.WriteString(tag)
		}
		base128(size)
		content.Write(table.Content)
	}
	var packed bytes.Buffer
	w := brotli.NewWriter(&packed)
	_, _ = w.Write(content.Bytes()) // to memory
	_ = w.Close()
	out := make([]byte, 48, 48+directory.Len()+packed.Len())
	copy(out, "wOF2\x00\x01\x00\x00")
	binary.BigEndian.PutUint16(out[12:], uint16(len(list)))
	binary.BigEndian.PutUint32(out[20:], uint32(packed.Len()))
	return append(append(out, directory.Bytes()...), packed.Bytes()...)
}

func configMap(name string, files map[string][]byte) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: name, UID: "1"}, BinaryData: files}
}

func TestWhatAFontSaysAboutItself(t *testing.T) {
	regular, bold := installed(t, "LiberationSans-Regular"), installed(t, "LiberationSerif-BoldItalic")
	variable := func([]byte) []byte {
		table := make([]byte, 16+2*20)
		table[1], table[5], table[9], table[11] = 1, 16, 2, 20
		copy(table[16:], "wght\x00\x64\x00\x00\x01\x90\x00\x00\x03\x84\x00\x00")
		copy(table[36:], "wdth\x00\x4b\x00\x00\x00\x64\x00\x00\x00\x7d\x00\x00")
		return table
	}
	for name, c := range map[string]struct {
		data          []byte
		want, warning string
	}{
		"TTF":           {regular, "Liberation Sans, normal, 400, 100%", ""},
		"bold italic":   {bold, "Liberation Serif, italic, 700, 100%", ""},
		"WOFF":          {woff(tables(t, bold, nil)), "Liberation Serif, italic, 700, 100%", ""},
		"WOFF2":         {woff2(tables(t, bold, nil), 0), "Liberation Serif, italic, 700, 100%", ""},
		"variable":      {opentype.WriteTTF(tables(t, regular, map[string]func([]byte) []byte{"fvar": variable})), "Liberation Sans, normal, 100 900, 75% 125%", ""},
		"restricted":    {opentype.WriteTTF(tables(t, regular, map[string]func([]byte) []byte{"OS/2": embedding(2)})), "Liberation Sans, normal, 400, 100%", "must not be embedded"},
		"bitmaps":       {woff2(tables(t, regular, map[string]func([]byte) []byte{"OS/2": embedding(0x200)}), 0), "Liberation Sans, normal, 400, 100%", "only its bitmaps"},
		"no subsetting": {opentype.WriteTTF(tables(t, regular, map[string]func([]byte) []byte{"OS/2": embedding(0x104)})), "Liberation Sans, normal, 400, 100%", "embed all of it"},
		"editable":      {opentype.WriteTTF(tables(t, regular, map[string]func([]byte) []byte{"OS/2": embedding(8)})), "Liberation Sans, normal, 400, 100%", ""},
	} {
		t.Run(name, func(t *testing.T) {
			sum := sha256.Sum256(c.data)
			files, err := fonts.InConfigMap(configMap("brand", map[string][]byte{"font": c.data}))
			if err != nil {
				t.Fatal(err)
			}
			f := files[0]
			if f.SHA256 != hex.EncodeToString(sum[:]) || sha256.Sum256(f.Data) != sum {
				t.Error("reading the font changes it")
			}
			got := strings.Join([]string{f.Family, f.Style, f.Weight, f.Stretch}, ", ")
			if got != c.want || f.Size != int64(len(c.data)) || !strings.Contains(f.Warning, c.warning) || (c.warning == "") != (f.Warning == "") {
				t.Errorf("%s, %d bytes, warning %q", got, f.Size, f.Warning)
			}
		})
	}
}

func TestWhatIsNoFont(t *testing.T) {
	regular := installed(t, "LiberationSans-Regular")
	without := func([]byte) []byte { return nil }
	huge := woff(tables(t, regular, nil))
	for i := range tables(t, regular, nil) {
		binary.BigEndian.PutUint32(huge[44+20*i+12:], 1<<31)
	}
	many := bytes.Clone(regular)
	binary.BigEndian.PutUint16(many[4:], 65535)
	far := bytes.Clone(regular)
	for entry := 12; entry < 12+16*20; entry += 16 {
		binary.BigEndian.PutUint32(far[entry+12:], 1<<32-1)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                   {nil, "ends too early"},
		"a picture":               {[]byte("\x89PNG\r\n\x1a\n"), "not a TTF, OTF, WOFF or WOFF2 file"},
		"a collection":            {[]byte("ttcf\x00\x01\x00\x00"), "collection of several fonts"},
		"half a font":             {regular[:len(regular)/100], "ends too early"},
		"no name":                 {opentype.WriteTTF(tables(t, regular, map[string]func([]byte) []byte{"name": without})), "no table name"},
		"a name with an escape":   {renamed(t, regular, '\u009b'), "no usable name of a family"},
		"a name that turns round": {renamed(t, regular, '\u202e'), "no usable name of a family"},
		"a name of two lines":     {renamed(t, regular, '\u2028'), "no usable name of a family"},
		"too many tables":         {many, "too many tables"},
		"tables beyond its end":   {far, "ends too early"},
		"a WOFF that unpacks far": {huge, "too large"},
		"a WOFF2 that is cut":     {woff2(tables(t, regular, nil), 0)[:5000], "ends too early"},
		"a WOFF2 that lies":       {woff2(tables(t, regular, nil), 1<<24), "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fonts.InConfigMap(configMap("brand", map[string][]byte{"a.ttf": regular, "b.ttf": c.data}))
			terminal := reconcile.AsTerminal(err)
			if terminal == nil || terminal.Reason != "InvalidFont" || !strings.Contains(terminal.Message, "key 'b.ttf' of ConfigMap 'brand'") || !strings.Contains(terminal.Message, c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A ConfigMap's content is read once for each of its versions, and again for the bytes of a font.
func TestALibraryFollowsConfigMaps(t *testing.T) {
	regular, bold := installed(t, "LiberationSans-Regular"), installed(t, "LiberationSans-Bold")
	reads := 0
	api := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(configMap("brand", map[string][]byte{"a.ttf": regular})).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			if _, whole := o.(*corev1.ConfigMap); whole {
				reads++
			}
			return c.Get(ctx, key, o, options...)
		},
	}).Build()
	library := fonts.New(fonts.Options{Reader: api})
	set := &platenv1alpha1.FontSet{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "brand"}, Spec: platenv1alpha1.FontSetSpec{
		Sources: []platenv1alpha1.FontSource{{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: "brand"}}},
	}}
	var files []fonts.File
	for range 3 {
		var err error
		if files, err = library.Files(t.Context(), set); err != nil || len(files) != 1 || files[0].Data != nil {
			t.Fatalf("%d files, %v", len(files), err)
		}
	}
	if reads != 1 {
		t.Errorf("%d reads of the content, want 1", reads)
	}
	if data, err := library.Data(t.Context(), set, files[0].SHA256); err != nil || !bytes.Equal(data, regular) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	m := &corev1.ConfigMap{}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: "marketing", Name: "brand"}, m); err != nil {
		t.Fatal(err)
	}
	m.BinaryData = map[string][]byte{"b.ttf": bold}
	if err := api.Update(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	changed, err := library.Files(t.Context(), set)
	if err != nil || len(changed) != 1 || changed[0].Weight != "700" {
		t.Errorf("%+v, %v", changed, err)
	}
	if _, err := library.Data(t.Context(), set, files[0].SHA256); !errors.Is(err, fonts.ErrNotFound) {
		t.Errorf("a font that is gone: %v", err)
	}
	set.Spec.Sources = append(set.Spec.Sources, platenv1alpha1.FontSource{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: "missing"}})
	if _, err := library.Files(t.Context(), set); reconcile.AsWaiting(err) == nil || !strings.HasPrefix(err.Error(), "spec.sources[1]: ConfigMap 'missing' does not exist") {
		t.Errorf("%v", err)
	}
	set.Spec.Sources = append(set.Spec.Sources, platenv1alpha1.FontSource{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: "gone"}})
	const both = "spec.sources[1]: ConfigMap 'missing' does not exist in namespace 'marketing'; spec.sources[2]: ConfigMap 'gone' does not exist in namespace 'marketing'"
	if _, err := library.Files(t.Context(), set); reconcile.AsWaiting(err) == nil || err.Error() != both {
		t.Errorf("%v", err)
	}
}

// Whoever corrects one source shall not meet the mistake of the next one only then.
func TestALibraryNamesEachSourceThatIsWrong(t *testing.T) {
	builder := fake.NewClientBuilder().WithScheme(scheme.Scheme)
	for name, files := range map[string]map[string][]byte{
		"good": {"a.ttf": installed(t, "LiberationSans-Regular")}, "empty": nil, "text": {"a.ttf": []byte("text")},
	} {
		m := configMap(name, files)
		m.UID = types.UID(name)
		builder.WithObjects(m)
	}
	api := builder.Build()
	library := fonts.New(fonts.Options{Reader: api})
	set := &platenv1alpha1.FontSet{ObjectMeta: metav1.ObjectMeta{Namespace: "marketing", Name: "brand"}}
	for _, name := range []string{"empty", "good", "missing", "text"} {
		set.Spec.Sources = append(set.Spec.Sources, platenv1alpha1.FontSource{ConfigMapRef: &platenv1alpha1.ConfigMapReference{Name: name}})
	}
	const want = "spec.sources[0]: ConfigMap 'empty' has no fonts in its binaryData: delete it, and make it again with kubectl create configmap empty --from-file=FONT.woff2; " +
		"spec.sources[3]: key 'a.ttf' of ConfigMap 'text' is no font that pages can use: it is not a TTF, OTF, WOFF or WOFF2 file"
	if _, err := library.Files(t.Context(), set); reconcile.AsTerminal(err) == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	set.Spec.Sources = set.Spec.Sources[2:]
	if _, err := library.Files(t.Context(), set); reconcile.AsWaiting(err) == nil {
		t.Errorf("what is missing comes first: %v", err)
	}
}
