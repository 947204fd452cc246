//! Types: scalars, references, slices, arrays, tensors, ternary matrices, tuples.

use crate::expr;
use crate::tree::{Scalar, Type};
use syn::spanned::Spanned;
use syn::{Error, GenericArgument, PathArguments, Result};

pub(crate) const SUPPORTED: &str = "kernels take and return numbers (f32, f64, i8 … u64, usize, bool), slices, arrays, `Vec`, \
    `Tensor<(A, …), T>`, `TernaryMatrix<In, Out>`, references to them, and tuples";

pub(crate) fn parse(ty: &syn::Type) -> Result<Type> {
    match ty {
        syn::Type::Paren(inner) => parse(&inner.elem),
        syn::Type::Group(inner) => parse(&inner.elem),
        syn::Type::Infer(_) => Ok(Type::Infer),
        syn::Type::Reference(r) => Ok(Type::Ref(r.mutability.is_some(), Box::new(parse(&r.elem)?))),
        syn::Type::Slice(s) => Ok(Type::Slice(Box::new(parse(&s.elem)?))),
        syn::Type::Array(a) => Ok(Type::Array(Box::new(parse(&a.elem)?), Box::new(expr::parse(&a.len)?))),
        syn::Type::Tuple(t) => Ok(Type::Tuple(t.elems.iter().map(parse).collect::<Result<_>>()?)),
        syn::Type::Path(p) if p.qself.is_none() => path(&p.path, ty),
        _ => Err(Error::new(ty.span(), format!("this type is not supported in a kernel: {SUPPORTED}"))),
    }
}

fn path(path: &syn::Path, whole: &syn::Type) -> Result<Type> {
    let Some(last) = path.segments.last() else {
        return Err(Error::new(whole.span(), "an empty path is no type"));
    };
    let name = last.ident.to_string();
    let arguments: Vec<&syn::Type> = match &last.arguments {
        PathArguments::AngleBracketed(a) => (a.args.iter())
            .filter_map(|a| if let GenericArgument::Type(t) = a { Some(t) } else { None })
            .collect(),
        _ => vec![],
    };
    let first = || {
        let missing = || Error::new(whole.span(), format!("`{name}` needs its type argument"));
        arguments.first().copied().ok_or_else(missing)
    };
    if let Some(scalar) = Scalar::from_name(&name) {
        return Ok(Type::Scalar(scalar));
    }
    match name.as_str() {
        "Vec" => Ok(Type::Vec(Box::new(parse(first()?)?))),
        "Result" => Ok(Type::Result(Box::new(parse(first()?)?))),
        "Tensor" => {
            let axes = match first()? {
                syn::Type::Tuple(t) => t.elems.iter().map(axis).collect::<Result<_>>()?,
                other => {
                    return Err(Error::new(
                        other.span(),
                        "the axes of a tensor are a tuple, such as `(In,)`",
                    ));
                }
            };
            let element = match arguments.get(1) {
                Some(t) => parse(t)?,
                None => Type::Scalar(Scalar::F32),
            };
            let unit = match arguments.get(2) {
                Some(t) => axis(t)?,
                None => String::new(),
            };
            let unit = if unit == "Unitless" { String::new() } else { unit };
            Ok(Type::Tensor { axes, element: Box::new(element), unit })
        }
        // The alias of a tensor with one axis.
        "Vector" => {
            let element = match arguments.get(1) {
                Some(t) => parse(t)?,
                None => Type::Scalar(Scalar::F32),
            };
            Ok(Type::Tensor { axes: vec![axis(first()?)?], element: Box::new(element), unit: String::new() })
        }
        "TernaryMatrix" => {
            let output = arguments.get(1).ok_or_else(|| {
                Error::new(whole.span(), "a ternary matrix has two axes: `TernaryMatrix<In, Out>`")
            })?;
            Ok(Type::Ternary { input: axis(first()?)?, output: axis(output)? })
        }
        _ if arguments.is_empty() && path.segments.len() == 1 => Ok(Type::Named(name)),
        _ => Err(Error::new(whole.span(), format!("`{name}` is not a type of kernels: {SUPPORTED}"))),
    }
}

/// The last segment of a path without arguments: the name of an axis or a unit.
fn axis(ty: &syn::Type) -> Result<String> {
    match ty {
        syn::Type::Path(p) if p.qself.is_none() => match p.path.segments.last() {
            Some(s) => Ok(s.ident.to_string()),
            None => Err(Error::new(ty.span(), "an empty path names nothing")),
        },
        _ => Err(Error::new(ty.span(), "expected the name of an axis or of a unit")),
    }
}
