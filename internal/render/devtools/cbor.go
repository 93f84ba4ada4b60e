// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package devtools

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp/jsonv2"
)

// The browser's messages are CBOR (RFC 8949), which has a picture's bytes as they are. A map or an array is within an envelope: tag 24 and a byte string, which tells its length. A string is UTF-8 in a text
// string, or UTF-16 in a byte string. Bytes have tag 22. Numbers are integers of 32 bits, or doubles
// (https://chromium.googlesource.com/deps/inspector_protocol/+/refs/heads/main/crdtp/cbor.h).
const (
	unsigned, negative, byteString, textString = 0 << 5, 1 << 5, 2 << 5, 3 << 5
	// The two parts of a value's first byte.
	majorMask, minorMask = 0xe0, 0x1f
	// The minor values of lengths in the next 1, 2, 4 and 8 bytes.
	next1, next2, next4, next8 = 24, 25, 26, 27

	beginArray, beginMap, end = 0x9f, 0xbf, 0xff
	bytesTag                  = 0xd6
	isFalse, isTrue, isNull   = 0xf4, 0xf5, 0xf6
	isDouble                  = 0xfb
)

// envelope begins an envelope, whose length follows in four bytes.
var envelope = [3]byte{0xd8, 0x18, byteString | next4}

const (
	// envelopeSize is the number of bytes around what an envelope holds.
	envelopeSize = len(envelope) + 4
	// maxDepth bounds the arrays and maps within each other.
	maxDepth = 1000
)

var errMalformed = errors.New("the browser's message is malformed")

// readMessage reads a message. Of one that is larger than limit, it returns the beginning and ErrTooLarge.
func readMessage(reader *bufio.Reader, limit int) (message []byte, err error) {
	head, err := reader.Peek(envelopeSize)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(head, envelope[:]) {
		return nil, errMalformed
	}
	size := envelopeSize + int(binary.BigEndian.Uint32(head[len(envelope):]))
	if size > limit {
		start, err := reader.Peek(min(size, headSize))
		if err != nil {
			return nil, err
		}
		message = bytes.Clone(start)
		if _, err := reader.Discard(size); err != nil {
			return nil, err
		}
		return message, ErrTooLarge
	}
	message = make([]byte, size)
	_, err = io.ReadFull(reader, message)
	return message, err
}

// answerID returns the number of the command that a message answers. Chromium writes the number first. The waiting caller decodes the
// rest, which is often a picture.
func answerID(message []byte) (id int64, ok bool) {
	rest, ok := bytes.CutPrefix(message[min(len(message), envelopeSize):], []byte{beginMap, textString | 2, 'i', 'd'})
	if !ok {
		return 0, false
	}
	r := reader{data: rest}
	major, n, err := r.head()
	return int64(n), err == nil && major == unsigned && n <= math.MaxInt32 //nolint:gosec // bounded
}

// toJSON returns a message as JSON. Bytes are not in it but returned, the last ones if there are several: they are part of the message.
func toJSON(message []byte) (text, bytes []byte, err error) {
	r := reader{data: message}
	if err := r.value(0); err != nil {
		return nil, nil, err
	}
	return r.text, r.bytes, nil
}

// reader turns CBOR into JSON.
type reader struct {
	// data is what is left to read.
	data  []byte
	text  []byte
	bytes []byte
}

// take returns the next bytes.
func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.data)) {
		return nil, errMalformed
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken, nil
}

// head reads the beginning of a value: its type, and its value or length.
func (r *reader) head() (major byte, n uint64, err error) {
	first, err := r.take(1)
	if err != nil {
		return 0, 0, err
	}
	major, minor := first[0]&majorMask, first[0]&minorMask
	if minor < next1 {
		return major, uint64(minor), nil
	}
	if minor > next8 {
		return 0, 0, errMalformed
	}
	size := uint64(1) << (minor - next1)
	following, err := r.take(size)
	if err != nil {
		return 0, 0, err
	}
	var wide [8]byte
	copy(wide[8-size:], following)
	return major, binary.BigEndian.Uint64(wide[:]), nil
}

// value reads a value.
func (r *reader) value(depth int) error {
	if len(r.data) == 0 || depth > maxDepth {
		return errMalformed
	}
	switch first := r.data[0]; first {
	case envelope[0]:
		header, err := r.take(uint64(envelopeSize)) // what it holds tells its own end
		if err != nil || !bytes.HasPrefix(header, envelope[:]) {
			return errMalformed
		}
		return r.value(depth + 1)
	case beginMap, beginArray:
		r.data = r.data[1:]
		return r.list(depth, first == beginMap)
	case isFalse, isTrue, isNull:
		r.data = r.data[1:]
		r.text = append(r.text, map[byte]string{isFalse: "false", isTrue: "true", isNull: "null"}[first]...)
		return nil
	case isDouble:
		double, err := r.take(9)
		if err != nil {
			return err
		}
		r.double(math.Float64frombits(binary.BigEndian.Uint64(double[1:])))
		return nil
	case bytesTag:
		r.data = r.data[1:]
		major, n, err := r.head()
		if err != nil || major != byteString {
			return errMalformed
		}
		r.text = append(r.text, `""`...)
		r.bytes, err = r.take(n)
		return err
	default:
		return r.simple()
	}
}

// double writes a number. JSON has none that are infinite. A large integer has no exponent, so that it can be read as an integer.
func (r *reader) double(number float64) {
	const exact = 1 << 53
	switch {
	case math.IsNaN(number) || math.IsInf(number, 0):
		r.text = append(r.text, "null"...)
	case math.Abs(number) <= exact:
		r.text = strconv.AppendFloat(r.text, number, 'f', -1, 64)
	default:
		r.text = strconv.AppendFloat(r.text, number, 'g', -1, 64)
	}
}

// list reads what follows the beginning of a map or an array.
func (r *reader) list(depth int, isMap bool) error {
	open, closing := byte('['), byte(']')
	if isMap {
		open, closing = '{', '}'
	}
	r.text = append(r.text, open)
	for first := true; ; first = false {
		if len(r.data) == 0 {
			return errMalformed
		}
		if r.data[0] == end {
			r.data = r.data[1:]
			r.text = append(r.text, closing)
			return nil
		}
		if !first {
			r.text = append(r.text, ',')
		}
		if isMap {
			if major := r.data[0] & majorMask; major != textString && major != byteString {
				return errMalformed
			}
			if err := r.simple(); err != nil {
				return err
			}
			r.text = append(r.text, ':')
		}
		if err := r.value(depth + 1); err != nil {
			return err
		}
	}
}

// simple reads an integer or a string.
func (r *reader) simple() error {
	major, n, err := r.head()
	if err != nil {
		return err
	}
	switch major {
	case unsigned:
		r.text = strconv.AppendUint(r.text, n, 10)
		return nil
	case negative:
		if n > math.MaxInt32 {
			return errMalformed
		}
		r.text = strconv.AppendInt(r.text, -1-int64(n), 10)
		return nil
	case textString, byteString:
		content, err := r.take(n)
		if err != nil {
			return err
		}
		if major == byteString {
			content = fromUTF16(content)
		}
		quoted, err := jsonv2.Marshal(string(content), lenient)
		r.text = append(r.text, quoted...)
		return err
	default:
		return errMalformed
	}
}

// fromUTF16 turns UTF-16, the low byte first, into UTF-8. Half a surrogate pair becomes U+FFFD.
func fromUTF16(content []byte) []byte {
	units := make([]uint16, len(content)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(content[2*i:])
	}
	var text []byte
	for _, c := range utf16.Decode(units) {
		text = utf8.AppendRune(text, c)
	}
	return text
}

// fromJSON turns JSON into CBOR.
func fromJSON(text []byte) ([]byte, error) {
	message := make([]byte, 0, len(text)+len(text)/8)
	var open []int // where the envelopes begin
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return message, nil
		}
		if err != nil {
			return nil, err
		}
		switch value := token.(type) {
		case json.Delim:
			switch value {
			case '{', '[':
				open = append(open, len(message))
				message = append(message, envelope[:]...)
				message = append(message, 0, 0, 0, 0, map[json.Delim]byte{'{': beginMap, '[': beginArray}[value])
			default:
				message = append(message, end)
				begin := open[len(open)-1]
				open = open[:len(open)-1]
				size := len(message) - begin - envelopeSize
				if size > math.MaxUint32 {
					return nil, fmt.Errorf("a command of %d bytes is too large", size)
				}
				binary.BigEndian.PutUint32(message[begin+len(envelope):], uint32(size)) //nolint:gosec // bounded
			}
		case string:
			message = appendHead(message, textString, uint64(len(value)))
			message = append(message, value...)
		case json.Number:
			if message, err = appendNumber(message, value); err != nil {
				return nil, err
			}
		case bool:
			message = append(message, map[bool]byte{false: isFalse, true: isTrue}[value])
		default:
			message = append(message, isNull)
		}
	}
}

// appendHead adds the beginning of a value.
func appendHead(message []byte, major byte, n uint64) []byte {
	switch {
	case n < next1:
		return append(message, major|byte(n))
	case n <= math.MaxUint8:
		return append(message, major|next1, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(message, major|next2), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(message, major|next4), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(message, major|next8), n)
	}
}

func appendNumber(message []byte, number json.Number) ([]byte, error) {
	if n, err := strconv.ParseInt(string(number), 10, 32); err == nil && n >= 0 {
		return appendHead(message, unsigned, uint64(n)), nil
	} else if err == nil {
		return appendHead(message, negative, uint64(-1-n)), nil //nolint:gosec // n is negative
	}
	double, err := number.Float64()
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(append(message, isDouble), math.Float64bits(double)), nil
}
